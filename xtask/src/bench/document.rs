//! The published figures, a part of `docs/benchmarks.md`.

use std::{fs, path::Path};

use anyhow::Context as _;

const DOCUMENT: &str = "docs/benchmarks.md";
const START: &str = "<!-- figures: written by `cargo xtask bench --write` -->\n";
const END: &str = "<!-- end of figures -->\n";

/// Puts new figures in the place of the old ones.
pub(super) fn write(root: &Path, figures: &str) -> anyhow::Result<()> {
    let path = root.join(DOCUMENT);
    let old = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let new = replaced(&old, figures).with_context(|| format!("{} has no place for figures", path.display()))?;
    fs::write(&path, new).with_context(|| path.display().to_string())
}

fn replaced(document: &str, figures: &str) -> Option<String> {
    let (before, rest) = document.split_once(START)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, START, "\n", figures, "\n", END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::{END, START, replaced};

    #[test]
    fn only_the_figures_change() {
        let with = |figures: &str| format!("method\n{START}{figures}{END}after\n");
        assert_eq!(replaced(&with("old\n"), "new\n"), Some(with("\nnew\n\n")));
        assert_eq!(replaced(&with("\nnew\n\n"), "new\n"), Some(with("\nnew\n\n")));
        assert_eq!(replaced("method\n", "new\n"), None);
        assert!(replaced(include_str!("../../../docs/benchmarks.md"), "new\n").is_some());
    }
}
