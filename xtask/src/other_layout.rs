//! The `guard` whose tables have another layout, for the test of upgrades.

use std::{fs, path::Path};

use anyhow::Context as _;

use crate::command;

/// Builds it, puts it beside `guard` under a name of its own, and builds `guard` again, whose place it took.
pub(crate) fn build(root: &Path, target_dir: &Path) -> anyhow::Result<()> {
    let build = ["build", "--package", "guard", "--locked"];
    command::run(command::cargo(root).args(build).args(["--features", "other-layout"]))?;
    let [built, kept] = ["guard", "guard-other-layout"].map(|name| target_dir.join("debug").join(name));
    fs::rename(&built, &kept).with_context(|| built.display().to_string())?;
    command::run(command::cargo(root).args(build))
}
