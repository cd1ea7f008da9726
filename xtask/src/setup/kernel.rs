//! The toolchain for the kernel program: which of the three ways this machine has, and the installation of a missing one.

use std::{
    env::{self, consts},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, bail, ensure};

use crate::{
    command,
    setup::apt,
    toolchain::{self, BPF_LINKER_VERSION, Compiler, Probe, Target},
};

pub(super) const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "libstd-rust-web-dev-bpf"];

/// Why this machine can't compile the kernel program.
pub(super) struct Lack {
    pub(super) has_compiler: bool,
    /// What was probed, for people.
    pub(super) probed: String,
}

/// What makes a machine ready; each includes the linker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    Linker,
    DebianCompiler,
    Nightly,
}

/// None where there is a toolchain, or an object that needs none.
pub(super) fn lack(root: &Path) -> anyhow::Result<Option<Lack>> {
    if let Some(object) = env::var_os("EBPF_OBJECT") {
        ensure!(root.join(&object).is_file(), "EBPF_OBJECT names no file: {}", object.display());
        return Ok(None);
    }
    let probe = Probe::new(&host_target());
    let lack = Lack { has_compiler: probe.compilers().next().is_some(), probed: probe.to_string() };
    Ok(probe.toolchain().is_none().then_some(lack))
}

impl Lack {
    /// What helps, by what is to be had here; apt's lists must be fresh.
    pub(super) fn remedy(&self) -> anyhow::Result<Remedy> {
        if self.has_compiler {
            return Ok(Remedy::Linker);
        }
        if env::var_os("EBPF_RUSTC").is_some() {
            bail!("the compiler that EBPF_RUSTC names can't compile the kernel program");
        }
        if apt::is_usable() && DEBIAN_PACKAGES.into_iter().all(apt::knows) {
            Ok(Remedy::DebianCompiler)
        } else if command::is_installed("rustup") {
            Ok(Remedy::Nightly)
        } else {
            bail!("nothing to be had here can compile the kernel program\n{}", toolchain::remedy())
        }
    }
}

/// The kernel of this machine, for which tests and demo compile.
pub(crate) fn host_target() -> Target {
    Target::new(consts::ARCH.to_owned(), if cfg!(target_endian = "big") { "big" } else { "little" })
}

/// Installs what apt does not, and checks that there is a toolchain then.
pub(super) fn install(root: &Path, remedy: Remedy) -> anyhow::Result<()> {
    if remedy == Remedy::Nightly {
        let nightly = ["toolchain", "install", "nightly", "--profile", "minimal", "--component", "rust-src"];
        command::run(Command::new("rustup").args(nightly))?;
    }
    let probe = Probe::new(&host_target());
    if probe.toolchain().is_none()
        && let Some(compiler) = probe.compilers().next()
    {
        install_linker(root, compiler)?;
    }
    let probe = Probe::new(&host_target());
    ensure!(
        probe.toolchain().is_some(),
        "what was installed can't compile the kernel program\n{probe}\n{}",
        toolchain::remedy()
    );
    Ok(())
}

/// Links bpf-linker with the compiler's own LLVM, which needs no development package of LLVM and always is of the right version.
fn install_linker(root: &Path, compiler: &Compiler) -> anyhow::Result<()> {
    let rustc = compiler.rustc.display();
    let llvm = toolchain::shared_llvm(&compiler.rustc).with_context(|| {
        format!("{rustc} has its LLVM linked statically: install bpf-linker for LLVM {} yourself", compiler.llvm_major)
    })?;
    let directory = llvm.parent().with_context(|| format!("the LLVM of {rustc} lies nowhere"))?;
    let flags = format!("-C link-arg={} -C link-arg=-Wl,-rpath,{}", llvm.display(), directory.display());
    let mut cargo = command::cargo_install(root, "bpf-linker", BPF_LINKER_VERSION);
    cargo.env("RUSTFLAGS", flags);
    cargo.args(["--no-default-features", "--features"]);
    cargo.arg(format!("llvm-{},no-llvm-linking", compiler.llvm_major));
    command::run(&mut cargo)
}
