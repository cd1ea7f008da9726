//! Debian's packages, through `apt-get`.

use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use crate::command;

/// Whether packages can be installed: there is apt-get, and this is root or can become it.
pub(super) fn is_usable() -> bool {
    command::is_installed("apt-get") && (geteuid().is_root() || command::is_installed("sudo"))
}

/// Reads the package lists anew, since old ones name versions that are no longer served. Without a network the old ones may do.
pub(super) fn refresh() {
    if let Err(error) = command::run(privileged().args(["apt-get", "update", "--quiet=2"])) {
        println!("{error:#}; going on with the package lists as they are");
    }
}

pub(super) fn knows(package: &str) -> bool {
    let mut apt_cache = Command::new("apt-cache");
    apt_cache.args(["show", "--no-all-versions", package]).stdout(Stdio::null()).stderr(Stdio::null());
    apt_cache.status().is_ok_and(|status| status.success())
}

/// What installing the packages downloads and takes on disk, in apt's words.
pub(super) fn size(packages: &[&str]) -> anyhow::Result<String> {
    let mut apt_get = Command::new("apt-get");
    apt_get.env("LC_ALL", "C").args(["install", "--yes", "--no-install-recommends", "--print-uris"]).args(packages);
    let plan = command::read(&mut apt_get)?;
    let sizes: Vec<_> =
        plan.lines().filter(|line| line.starts_with("Need to get") || line.starts_with("After this")).collect();
    Ok(sizes.join(" "))
}

pub(super) fn install(packages: &[&str]) -> anyhow::Result<()> {
    let options = ["apt-get", "install", "--yes", "--quiet=2", "--no-install-recommends"];
    command::run(privileged().args(options).args(packages))
}

/// A command that runs its arguments as root and leaves no question to a person.
fn privileged() -> Command {
    let environment = "DEBIAN_FRONTEND=noninteractive";
    let mut command = if geteuid().is_root() { Command::new("env") } else { Command::new("sudo") };
    command.arg(environment);
    command
}
