//! Refuses an object that the kernel's verifier would refuse, or that lacks what guard promises of it.

use anyhow::{Context as _, ensure};
use object::{File, Object as _, ObjectSection as _, ObjectSymbol as _};

/// Checks that nothing in the object is unresolved, that no panic can be reached, and that it carries BTF and line information.
pub(crate) fn check(object: &[u8]) -> anyhow::Result<()> {
    let file = File::parse(object).context("not an object file")?;
    for symbol in file.symbols() {
        let name = symbol.name()?;
        ensure!(!symbol.is_undefined(), "`{name}` is unresolved");
        ensure!(!is_panic(name), "a panic can be reached: `{name}` is left");
    }
    let section = |name| file.section_by_name(name).with_context(|| format!("no section `{name}`"));
    section(".BTF")?;
    ensure!(has_line_info(section(".BTF.ext")?.data()?), "section `.BTF.ext` has no line information");
    Ok(())
}

/// The names under which `core` keeps what a failed check calls; the linker inlines the callers but not these.
fn is_panic(symbol: &str) -> bool {
    ["panic", "rust_begin_unwind", "unwrap_failed", "expect_failed"].iter().any(|part| symbol.contains(part))
        || symbol.ends_with("_fail")
}

/// `line_info_len` of `struct btf_ext_header`, in either byte order.
fn has_line_info(btf_ext: &[u8]) -> bool {
    btf_ext.get(20..24).is_some_and(|length| length != [0; 4])
}
