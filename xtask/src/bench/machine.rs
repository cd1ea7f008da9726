//! What the figures were measured on, and with what.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;

use crate::command;

/// Where the kernel says how it guards returns against speculation, which makes every call that a program makes dearer.
const RETURNS: &str = "/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow";

/// The machine, its kernel, guard's revision unless a binary was given, the tools that set contenders up, and the day.
pub(super) fn describe(root: &Path, given: Option<&Path>) -> anyhow::Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unnamed processor");
    let is_virtual = processors.lines().any(|line| line.starts_with("flags") && line.contains(" hypervisor"));
    let count = processors.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    // Kernels before 6.5 don't say it.
    let returns = fs::read_to_string(RETURNS).unwrap_or_else(|_| "not said".to_owned());
    let guard = match given {
        Some(binary) => format!("guard at {}", binary.display()),
        None => format!("guard {}", revision(root)?),
    };
    let mut versions = vec![guard];
    for tool in ["nft", "iptables", "ipset"] {
        versions.push(version(tool, &["--version"])?);
    }
    versions.push(version("xdp-filter", &["load", "--version"])?);
    let day = command::read(Command::new("date").args(["--utc", "+%F"]))?;
    Ok(format!(
        "{}, {count} {}processors; Linux {}, spec_rstack_overflow `{}`; {}; {}",
        model.trim_start_matches([' ', '\t', ':']),
        if is_virtual { "virtual " } else { "" },
        kernel.trim(),
        returns.trim(),
        versions.join("; "),
        day.trim()
    ))
}

/// The commit that is checked out, marked `-dirty` where files differ from it.
fn revision(root: &Path) -> anyhow::Result<String> {
    let mut git = Command::new("git");
    let described = command::read(git.current_dir(root).args(["describe", "--always", "--dirty", "--exclude=*"]))?;
    Ok(described.trim().to_owned())
}

/// The first line that a tool says of its version. Some fail after it.
fn version(tool: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(tool).args(arguments).output().with_context(|| format!("`{tool}` does not run"))?;
    let text = String::from_utf8(output.stdout)?;
    text.lines().next().map(str::to_owned).with_context(|| format!("`{tool}` does not say its version"))
}
