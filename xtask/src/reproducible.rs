//! Whether the kernel program's object depends on the directory it is built in.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};

use crate::{
    compile::{KernelBuild, SourcePaths},
    setup::host_target,
    toolchain::Probe,
};

/// Compiles the program from a copy of the tree, and looks for the same bytes in the release build of `guard`.
pub(crate) fn check(root: &Path, target_dir: &Path) -> anyhow::Result<()> {
    let tree = target_dir.join("reproducible/tree");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| tree.display().to_string())?;
    }
    copy_workspace(root, &tree)?;

    let target = host_target();
    let probe = Probe::new(&target);
    let (compiler, linker) = probe.toolchain().with_context(|| format!("no toolchain to compile it again\n{probe}"))?;
    let build = KernelBuild {
        workspace: &tree,
        package: "guard-ebpf",
        features: "",
        target_dir: &target_dir.join("reproducible/build"),
        target: &target,
        source_paths: SourcePaths::of_profile("release"),
    };
    let object = build.run(compiler, linker)?;
    ensure!(object.warnings.is_empty(), "the kernel program has warnings:\n{}", object.warnings.join("\n"));

    let path = target_dir.join("release/guard");
    let guard = fs::read(&path).with_context(|| path.display().to_string())?;
    let bytes = fs::read(&object.path).with_context(|| object.path.display().to_string())?;
    ensure!(
        guard.windows(bytes.len()).any(|window| window == bytes),
        "{} is not, byte for byte, in {}",
        object.path.display(),
        path.display()
    );
    println!("{} bytes, the same from two directories", bytes.len());
    Ok(())
}

/// Copies the workspace's own files and its packages; the fuzz targets are a workspace of their own.
fn copy_workspace(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let path = entry?.path();
        if path.is_file() || path.join("Cargo.toml").is_file() && !path.ends_with("fuzz") {
            copy(&path, to)?;
        }
    }
    Ok(())
}

/// Copies a file, or a directory with all that is in it, with its time, by which cargo knows what is unchanged.
fn copy(from: &Path, into: &Path) -> anyhow::Result<()> {
    let failed = || from.display().to_string();
    let to = into.join(from.file_name().with_context(failed)?);
    if from.is_dir() {
        fs::create_dir(&to).with_context(failed)?;
        for entry in fs::read_dir(from).with_context(failed)? {
            copy(&entry?.path(), &to)?;
        }
        return Ok(());
    }
    fs::copy(from, &to).with_context(failed)?;
    let modified = fs::metadata(from)?.modified()?;
    fs::File::options().append(true).open(&to)?.set_modified(modified).with_context(failed)
}
