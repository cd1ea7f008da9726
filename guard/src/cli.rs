//! The command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::{
    config,
    control::{parse_comment, parse_name as parse_entry_name},
    instance::{Instance, parse_name},
};

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
#[command(next_help_heading = "Options of every command")]
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
    /// Let sources in, take them out again, or show who may come in
    ///
    /// Changes are in force when the command returns, and outlive restarts. Lists in the environment, in guard.toml and in sets are
    /// changed there.
    #[command(subcommand)]
    Allow(Allow),
    /// Keep sources out everywhere, let go of them, or show who is kept out
    ///
    /// Who is blocked gets nothing through, whatever lets it in, not even to failsafe ports.
    #[command(subcommand)]
    Block(Block),
    /// Close this host but for failsafe ports, until that is lifted
    ///
    /// Answers to what this host opened itself still come in. The lists stay as they are, and hold again afterwards.
    Lockdown(Lockdown),
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
    /// Start although a login session would be cut
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Allow {
    /// Let addresses and prefixes in
    ///
    /// For good they go into the list file; for a time, or to some services only, they are kept beside it. One that is there already
    /// gets the new comment, name and end.
    Add(AllowAdd),
    /// Take entries out again, all of them or none
    Remove(AllowRemove),
    /// Show every entry: where it was written, by whom, until when, and when it was last used
    List(Output),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Block {
    /// Keep addresses and prefixes out
    Add(BlockAdd),
    /// Let go of entries, all of them or none
    Remove(BlockRemove),
    /// Show every entry: where it was written, by whom, and until when
    List(Output),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").args(["prefixes", "file"]).required(true).multiple(true)))]
pub(crate) struct AllowAdd {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Only to this service; may be given again for more [default: every service]
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Vec<String>,
    /// For how long, such as 90s, 2h or 7d [default: for good]
    #[arg(long, visible_alias = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) ttl: Option<String>,
    #[command(flatten)]
    pub(crate) about: About,
    #[command(flatten)]
    pub(crate) force: Force,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").args(["prefixes", "file", "name"]).required(true).multiple(true)))]
pub(crate) struct AllowRemove {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Only what they have for this service; may be given again for more [default: all entries]
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Vec<String>,
    #[command(flatten)]
    pub(crate) named: Named,
    #[command(flatten)]
    pub(crate) force: Force,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").args(["prefixes", "file"]).required(true).multiple(true)))]
pub(crate) struct BlockAdd {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// For how long, such as 90s, 2h or 7d [default: for good]
    #[arg(long = "for", visible_alias = "ttl", value_name = "DURATION", value_parser = duration)]
    pub(crate) ttl: Option<String>,
    #[command(flatten)]
    pub(crate) about: About,
    #[command(flatten)]
    pub(crate) force: Force,
    /// Show what lies under them: entries, sources let in lately, login sessions, open connections; and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long, requires = "dry_run")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").args(["prefixes", "file", "name"]).required(true).multiple(true)))]
pub(crate) struct BlockRemove {
    #[command(flatten)]
    pub(crate) sources: Sources,
    #[command(flatten)]
    pub(crate) named: Named,
    #[command(flatten)]
    pub(crate) force: Force,
}

/// Sources, as they are given to a command.
#[derive(Debug, Args)]
pub(crate) struct Sources {
    /// Addresses and prefixes: 203.0.113.7, 10.0.0.0/8, 2001:db8::/48
    #[arg(value_name = "PREFIX", value_parser = prefix)]
    pub(crate) prefixes: Vec<String>,
    /// A file of prefixes, set apart by lines, spaces or commas, with comments behind `#`; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// What is noted beside entries.
#[derive(Debug, Args)]
pub(crate) struct About {
    /// What it is good for, shown in lists
    #[arg(long, value_name = "TEXT", value_parser = parse_comment)]
    pub(crate) comment: Option<String>,
    /// A name, such as `home`: what had it before is taken out
    #[arg(long, value_name = "NAME", value_parser = parse_entry_name)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// All entries of this name, in place of prefixes
    #[arg(long, value_name = "NAME", value_parser = parse_entry_name, conflicts_with_all = ["prefixes", "file"])]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Force {
    /// Do it although a login session would be cut
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Lockdown {
    /// Let this address or prefix in all the same, to every service; may be given again for more
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub(crate) except: Vec<String>,
    /// For how long, such as 15m or 2h [default: until it is lifted]
    #[arg(long = "for", visible_alias = "ttl", value_name = "DURATION", value_parser = duration)]
    pub(crate) ttl: Option<String>,
    /// End it
    #[arg(long, conflicts_with_all = ["except", "ttl"])]
    pub(crate) lift: bool,
    #[command(flatten)]
    pub(crate) force: Force,
}

#[derive(Debug, Args)]
pub(crate) struct Reload {
    /// Do it although most entries of a list vanish, or a login session would be cut
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Accepts a prefix, and leaves it as it was written.
fn prefix(text: &str) -> Result<String, String> {
    config::parse_prefix(text).map(|_| text.to_owned())
}

/// Accepts a duration, and leaves it as it was written.
fn duration(text: &str) -> Result<String, String> {
    config::parse_ttl(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests;
