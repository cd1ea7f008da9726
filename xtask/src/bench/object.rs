//! The benchmark's own kernel programs, compiled when they are needed.

use std::{fs, path::Path};

use anyhow::Context as _;
use aya::{Ebpf, programs::Xdp};

use crate::{
    compile::{KernelBuild, SourcePaths},
    setup::host_target,
    toolchain::{self, Probe},
};

/// The object of `bench-ebpf`.
pub(super) struct Object(Vec<u8>);

impl Object {
    pub(super) fn compile(root: &Path, target_dir: &Path) -> anyhow::Result<Self> {
        let target = host_target();
        let probe = Probe::new(&target);
        let (compiler, linker) = probe
            .toolchain()
            .with_context(|| format!("nothing here can compile the generator\n{probe}\n{}", toolchain::remedy()))?;
        let build = KernelBuild {
            workspace: root,
            package: "bench-ebpf",
            features: "",
            target_dir: &target_dir.join("bench"),
            target: &target,
            source_paths: SourcePaths::Real,
        };
        let path = build.run(compiler, linker)?.path;
        fs::read(&path).map(Self).with_context(|| path.display().to_string())
    }

    /// Loads one of the programs, with maps of its own.
    pub(super) fn load(&self, program: &str) -> anyhow::Result<Ebpf> {
        let mut ebpf = Ebpf::load(&self.0).context("the benchmark's programs")?;
        xdp(&mut ebpf, program)?.load().with_context(|| format!("program `{program}`"))?;
        Ok(ebpf)
    }
}

/// A program of a loaded object, by name.
pub(super) fn xdp<'a>(ebpf: &'a mut Ebpf, program: &str) -> anyhow::Result<&'a mut Xdp> {
    let found = ebpf.program_mut(program).with_context(|| format!("no program `{program}` in the object"))?;
    Ok(found.try_into()?)
}
