//! Compiles the kernel program, or takes the object that `EBPF_OBJECT` names, and leaves it as `OUT_DIR/guard-ebpf` for the daemon to embed.

#[path = "build/compile.rs"]
mod compile;
#[path = "build/inspect.rs"]
mod inspect;
#[path = "build/toolchain.rs"]
mod toolchain;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;

use crate::{
    compile::{KernelBuild, SourcePaths},
    toolchain::{Probe, Target},
};

fn main() -> ExitCode {
    match embed_kernel_program() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn embed_kernel_program() -> anyhow::Result<()> {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = package.parent().context("guard's package lies in no workspace")?;
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    println!("cargo::rerun-if-env-changed=EBPF_OBJECT");
    let object = match env::var_os("EBPF_OBJECT") {
        Some(path) => {
            let object = workspace.join(path);
            println!("cargo::rerun-if-changed={}", object.display());
            object
        }
        None => compile(workspace, &out_dir.join("kernel"))?,
    };
    let bytes = fs::read(&object).with_context(|| object.display().to_string())?;
    inspect::check(&bytes).with_context(|| format!("kernel object {}", object.display()))?;
    let embedded = out_dir.join("guard-ebpf");
    fs::write(&embedded, bytes).with_context(|| embedded.display().to_string())
}

fn compile(workspace: &Path, target_dir: &Path) -> anyhow::Result<PathBuf> {
    println!("cargo::rerun-if-env-changed=EBPF_RUSTC");
    let sources = ["Cargo.lock", "Cargo.toml", "guard-ebpf", "guard-common/Cargo.toml", "guard-common/src"];
    for source in sources {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    let target = Target::new(variable("CARGO_CFG_TARGET_ARCH")?, &variable("CARGO_CFG_TARGET_ENDIAN")?);
    let probe = Probe::new(&target);
    let (compiler, linker) = probe
        .toolchain()
        .with_context(|| format!("nothing here can compile the kernel program\n{probe}\n{}", toolchain::remedy()))?;
    println!("cargo::rerun-if-changed={}", compiler.rustc.display());
    println!("cargo::rerun-if-changed={}", linker.path.display());
    let source_paths = SourcePaths::of_profile(&variable("PROFILE")?);
    // The daemon and the kernel program must agree on layouts.
    let features = if env::var_os("CARGO_FEATURE_OTHER_LAYOUT").is_some() { "other-layout" } else { "" };
    let build = KernelBuild { workspace, package: "guard-ebpf", features, target_dir, target: &target, source_paths };
    let object = build.run(compiler, linker)?;
    for warning in object.warnings {
        println!("cargo::warning={warning}");
    }
    Ok(object.path)
}

fn variable(name: &str) -> anyhow::Result<String> {
    env::var(name).with_context(|| format!("{name} in the environment of the build script"))
}
