//! The workspace's own commands: what a fresh machine needs, the demo, and everything that CI runs.

mod bench;
mod command;
#[path = "../../guard/build/compile.rs"]
mod compile;
mod demo;
mod fuzz;
mod other_layout;
mod reproducible;
mod setup;
mod test;
#[path = "../../guard/build/toolchain.rs"]
mod toolchain;

use std::{env, path::Path, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::setup::Consent;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, shows and tests guard")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs what the build and the tests need
    Setup {
        /// Installs without asking
        #[arg(long)]
        yes: bool,
    },
    /// Shows guard at work between network namespaces
    Demo,
    /// Times a packet through guard and through what else filters by source, side by side
    Bench(bench::Options),
    /// Builds the guard whose tables have another layout, which the test of upgrades needs
    OtherLayout,
    /// Runs everything that CI runs
    Test(test::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let package = env::var_os("CARGO_MANIFEST_DIR").context("start this as `cargo xtask`")?;
    let root = Path::new(&package).parent().context("xtask's package lies in no workspace")?;
    match cli.task {
        Task::Setup { yes } => setup::run(root, if yes { Consent::Given } else { Consent::Asked }, &[]),
        Task::Demo => {
            setup::run(root, Consent::Asked, &[])?;
            demo::run(root)
        }
        Task::Bench(options) => bench::run(root, &options),
        Task::OtherLayout => other_layout::build(root, &command::target_dir()?),
        Task::Test(options) => test::run(root, &options),
    }
}
