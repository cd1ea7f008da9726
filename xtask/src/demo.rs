//! The demo.

use std::path::Path;

use anyhow::bail;

pub(crate) fn run(_root: &Path) -> anyhow::Result<()> {
    bail!("the demo is not written yet")
}
