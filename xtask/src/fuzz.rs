//! The fuzz targets, each for a while.

use std::{path::Path, process::Command};

use anyhow::ensure;

use crate::command;

const CARGO_FUZZ_VERSION: &str = "0.13.2";

pub(crate) fn run(root: &Path, seconds_per_target: u64) -> anyhow::Result<()> {
    if !command::is_installed("cargo-fuzz") {
        command::run(&mut command::cargo_install(root, "cargo-fuzz", CARGO_FUZZ_VERSION))?;
    }
    let targets = command::read(cargo_fuzz(root).arg("list"))?;
    ensure!(!targets.trim().is_empty(), "there are no fuzz targets in {}", root.join("fuzz").display());
    for target in targets.lines() {
        let limit = format!("-max_total_time={seconds_per_target}");
        command::run(cargo_fuzz(root).args(["run", target, "--", &limit]))?;
    }
    Ok(())
}

/// cargo-fuzz instruments with flags that only a nightly compiler takes; rustup's cargo chooses it.
fn cargo_fuzz(root: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).args(["+nightly", "fuzz"]);
    cargo
}
