//! Everything that CI runs, each step announced with its time.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use nix::unistd::geteuid;

use crate::{
    command, fuzz, other_layout, reproducible,
    setup::{self, Consent},
};

const CARGO_DENY_VERSION: &str = "0.20.2";
/// What is ignored because another test runs it, and ends it.
const NO_TEST: &str = "--skip stays_until_killed";
/// How long `--long` runs each fuzz target.
const LONG_FUZZ_SECONDS: u64 = 120;

#[derive(Args)]
pub(crate) struct Options {
    /// Also checks licences, bans and sources of the dependencies, fuzzes each target for two minutes, and runs every test that is
    /// ignored otherwise because it takes long
    #[arg(long)]
    long: bool,
    /// Also runs each fuzz target for so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60")]
    fuzz: Option<u64>,
}

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    ensure!(geteuid().is_root(), "the tests need root: they load programs into the kernel and make network namespaces");
    let cargo = |arguments: &str| command::run(command::cargo(root).args(arguments.split(' ')));
    let target_dir = command::target_dir()?;
    let mut steps = Steps::default();

    steps.run("setup", || setup::run(root, Consent::Asked, &[]))?;
    steps.run("format", || cargo("fmt --all --check"))?;
    steps.run("lints", || cargo("clippy --workspace --all-targets --locked -- -D warnings"))?;
    steps.run("build with another layout", || other_layout::build(root, &target_dir))?;
    steps.run("build", || cargo("build --workspace --locked"))?;
    steps.run("release build", || cargo("build --release --locked"))?;
    steps.run("reproducible kernel object", || reproducible::check(root, &target_dir))?;
    if options.long {
        steps.run("dependencies", || {
            if !command::is_installed("cargo-deny") {
                command::run(&mut command::cargo_install(root, "cargo-deny", CARGO_DENY_VERSION))?;
            }
            cargo("deny --locked check licenses bans sources")
        })?;
    }
    if let Some(seconds) = options.fuzz.or(options.long.then_some(LONG_FUZZ_SECONDS)) {
        steps.run("fuzz", || fuzz::run(root, seconds))?;
    }
    steps.run("tests", || cargo("test --workspace --locked"))?;
    if options.long {
        steps.run("long tests", || {
            cargo(&format!("test --workspace --tests --no-fail-fast --locked -- --ignored {NO_TEST}"))
        })?;
    }

    steps.summarise();
    Ok(())
}

#[derive(Default)]
struct Steps {
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    fn run(&mut self, name: &'static str, step: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        println!("\n==> {name}");
        let start = Instant::now();
        let result = step();
        let taken = start.elapsed();
        println!("<== {name}: {} after {:.1} s", if result.is_ok() { "passed" } else { "failed" }, taken.as_secs_f32());
        self.done.push((name, taken));
        result.context(name)
    }

    fn summarise(&self) {
        println!("\nall passed");
        for (name, taken) in &self.done {
            println!("{:>8.1} s  {name}", taken.as_secs_f32());
        }
    }
}
