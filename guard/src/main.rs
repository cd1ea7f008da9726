//! guard: arguments, logging, run, exit code.

mod audit;
mod bans;
mod cli;
mod clock;
mod commands;
mod config;
mod control;
mod daemon;
mod down;
mod edit;
mod exit;
mod export;
mod generation;
mod instance;
mod kernel;
mod launch;
mod listing;
mod live;
mod lockout;
mod logging;
mod network;
mod notify;
mod policy;
mod refusal;
mod reload;
#[cfg(test)]
mod samples;
mod sessions;
mod status;
mod under;

use std::{
    io::{self, BufWriter, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser as _;
use serde::Serialize;

use cli::{Cli, Command, Global, Output, Reload};
use clock::Clock;
use commands::say;
use config::{Faults, Loaded, Sources};
use policy::{Expiring, Policy};
use reload::{Outcome, Refused};
use status::Status;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(&cli) {
        Ok(code) => code,
        Err(error) => {
            complain(&error, &cli.command);
            exit::code(&error)
        }
    }
}

fn execute(Cli { global, command }: &Cli) -> anyhow::Result<ExitCode> {
    let instance = global.instance();
    match command {
        Command::Run(run) => {
            let sources = sources(global);
            let loaded = config::load(&sources)?;
            logging::start(loaded.log_level.as_deref(), run);
            daemon::run(instance, sources, loaded, run)?;
        }
        Command::Check(output) => print_check(&config::load(&sources(global))?, output)?,
        Command::Status(output) => return print_status(&control::status(&instance)?, output),
        Command::Allow(command) => return commands::allow(&instance, command),
        Command::Block(command) => return commands::block(&instance, command),
        Command::Lockdown(command) => say(commands::lockdown(&instance, command)?)?,
        Command::Reload(Reload { force }) => match control::reload(&instance, *force)? {
            Outcome::Enforced(enforced) => say(enforced)?,
            Outcome::Refused(refused) => return Err(refused.into()),
        },
        Command::Down => say(down::down(&instance)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints an error with its whole chain; the faults of a configuration each on a line of its own.
fn complain(error: &anyhow::Error, command: &Command) {
    let text = format!("{error:#}");
    let refused = error.downcast_ref::<Refused>();
    // Of a great many only the first are in the text.
    let faults = match (error.downcast_ref::<Faults>(), refused) {
        (Some(faults), _) => faults.count(),
        (None, Some(refused)) => refused.count,
        (None, None) => text.lines().count(),
    };
    match faults {
        faults @ 2.. if exit::is_configuration(error) => {
            eprintln!("guard: {faults} faults in the configuration:\n  {}", text.replace('\n', "\n  "));
        }
        _ => eprintln!("guard: {text}"),
    }
    if let Some(refused) = refused {
        let undone = if matches!(command, Command::Reload(_)) { "not reloaded" } else { "nothing is changed" };
        eprintln!("guard: {undone}; generation {} stays in force", refused.generation);
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

/// What `guard check --json` prints. A policy may be long: it is written as it is walked through.
#[derive(Serialize)]
struct Effective<'a> {
    policy: &'a Policy,
    timed: Vec<Expiring<'a>>,
    warnings: Vec<String>,
}

fn print_check(Loaded { policy, timed, warnings, .. }: &Loaded, output: &Output) -> anyhow::Result<()> {
    let clock = Clock::now();
    if output.json {
        let effective = Effective {
            policy,
            timed: timed.iter().map(|timed| timed.expiring(&clock)).collect(),
            warnings: warnings.iter().map(ToString::to_string).collect(),
        };
        let mut out = BufWriter::new(io::stdout().lock());
        serde_json::to_writer_pretty(&mut out, &effective)?;
        writeln!(out)?;
        out.flush()?;
    } else {
        say(policy.render(timed, &clock, warnings).trim_end())?;
    }
    Ok(())
}

fn print_status(status: &Status, output: &Output) -> anyhow::Result<ExitCode> {
    if output.json {
        say(serde_json::to_string_pretty(status)?)?;
    } else {
        say(status)?;
    }
    Ok(if status.enforced { ExitCode::SUCCESS } else { exit::unavailable() })
}
