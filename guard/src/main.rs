//! guard: arguments, logging, run, exit code.

mod cli;
mod config;
mod control;
mod daemon;
mod down;
mod exit;
mod export;
mod generation;
mod instance;
mod kernel;
mod launch;
mod logging;
mod network;
mod policy;
mod status;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser as _;

use cli::{Cli, Command, Global, Output};
use config::{Faults, Loaded, Sources};
use status::Status;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(&cli) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            exit::code(&error)
        }
    }
}

fn execute(Cli { global, command }: &Cli) -> anyhow::Result<ExitCode> {
    let instance = global.instance();
    match command {
        Command::Run(run) => {
            let loaded = config::load(&sources(global))?;
            logging::start(loaded.log_level.as_deref(), run);
            daemon::run(instance, loaded, run)?;
        }
        Command::Check(output) => print_check(&config::load(&sources(global))?, output)?,
        Command::Status(output) => return print_status(&control::status(&instance)?, output),
        Command::Down => println!("{}", down::down(&instance)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints an error with its whole chain; the faults of a configuration each on a line of its own.
fn complain(error: &anyhow::Error) {
    let text = format!("{error:#}");
    // Of a great many only the first are in the text.
    let faults = error.downcast_ref::<Faults>().map_or_else(|| text.lines().count(), Faults::count);
    match faults {
        faults @ 2.. if exit::is_configuration(error) => {
            eprintln!("guard: {faults} faults in the configuration:\n  {}", text.replace('\n', "\n  "));
        }
        _ => eprintln!("guard: {text}"),
    }
}

/// Where the policy comes from.
fn sources(global: &Global) -> Sources {
    Sources {
        config: global.config.clone(),
        default_config: PathBuf::from("/etc/guard/guard.toml"),
        env_file: global.env_file.clone(),
        environment: std::env::vars_os().collect(),
        state_dir: global.state_dir.clone(),
    }
}

fn print_check(Loaded { policy, warnings, .. }: &Loaded, output: &Output) -> anyhow::Result<()> {
    if output.json {
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        let effective = serde_json::json!({ "policy": policy, "warnings": warnings });
        println!("{}", serde_json::to_string_pretty(&effective)?);
    } else {
        print!("{}", policy.render(warnings));
    }
    Ok(())
}

fn print_status(status: &Status, output: &Output) -> anyhow::Result<ExitCode> {
    if output.json {
        println!("{}", serde_json::to_string_pretty(status)?);
    } else {
        println!("{status}");
    }
    Ok(if status.enforced { ExitCode::SUCCESS } else { exit::unavailable() })
}
