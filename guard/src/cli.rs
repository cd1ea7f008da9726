//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::instance::{Instance, parse_name};

/// Guards this host's services: sources outside the allowlist get nothing.
#[derive(Debug, Parser)]
#[command(name = "guard", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options accepted anywhere on the line.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The policy file [default: /etc/guard/guard.toml, where it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A file of NAME=value lines, read as environment variables
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// The name of this guard among several on one host
    #[arg(long, global = true, value_name = "NAME", default_value = "default", value_parser = parse_name)]
    pub(crate) instance: String,
    /// Where list files and state lie
    #[arg(long, global = true, value_name = "DIR", default_value = "/var/lib/guard")]
    pub(crate) state_dir: PathBuf,
    /// Where the control socket lies
    #[arg(long, global = true, value_name = "DIR", default_value = "/run/guard")]
    pub(crate) runtime_dir: PathBuf,
}

impl Global {
    pub(crate) fn instance(&self) -> Instance {
        Instance {
            name: self.instance.clone(),
            state_dir: self.state_dir.clone(),
            runtime_dir: self.runtime_dir.clone(),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Enforce the policy, and stay to write the block log
    ///
    /// Ending this process, however it ends, leaves enforcement on; `guard down` ends that.
    Run(Run),
    /// Validate the policy, and print it with where each entry came from
    Check(Output),
    /// Show what is guarded and what passed and was dropped
    Status(Output),
    /// Read the configuration again and enforce it, whole or not at all; the same as SIGHUP to the daemon
    Reload(Reload),
    /// End enforcement: end a running daemon, and remove its program and tables from the kernel
    Down,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Start although an interface is missing, and guard it when it appears
    #[arg(long)]
    pub(crate) wait: bool,
    /// Log every decision of the kernel program, one line a packet
    #[arg(long)]
    pub(crate) kernel_log: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Reload {
    /// Do it although most entries of a list vanish
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
