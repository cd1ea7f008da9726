//! Compiles a package for the kernel by a nested cargo that the outer build cannot influence, so that its object depends on the sources and
//! the toolchain alone. Shared by guard's build script and `cargo xtask`.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use crate::toolchain::{Compiler, Core, Linker, Target};

/// What of the outer environment reaches the nested cargo: where things are and how downloads work.
const KEPT: [&str; 7] = ["PATH", "HOME", "TMPDIR", "CARGO_HOME", "CARGO_MAKEFLAGS", "SSL_CERT_FILE", "SSL_CERT_DIR"];
const KEPT_PREFIXES: [&str; 3] = ["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR"];

/// What the debug information says of source files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourcePaths {
    /// Real paths: the compiler finds the sources and `bpftool prog dump` shows their lines.
    Real,
    /// Independent of the directories of the build.
    Remapped,
}

impl SourcePaths {
    /// What a cargo profile's objects have.
    pub(crate) fn of_profile(profile: &str) -> Self {
        if profile == "release" { Self::Remapped } else { Self::Real }
    }
}

pub(crate) struct KernelBuild<'a> {
    pub(crate) workspace: &'a Path,
    /// The package, whose binary has the same name.
    pub(crate) package: &'a str,
    /// Of the package, separated by commas.
    pub(crate) features: &'a str,
    /// Where the nested cargo puts its files.
    pub(crate) target_dir: &'a Path,
    pub(crate) target: &'a Target,
    pub(crate) source_paths: SourcePaths,
}

pub(crate) struct KernelObject {
    pub(crate) path: PathBuf,
    /// What the compiler said of the workspace's own sources, one line each.
    pub(crate) warnings: Vec<String>,
}

impl KernelBuild<'_> {
    pub(crate) fn run(&self, compiler: &Compiler, linker: &Linker) -> anyhow::Result<KernelObject> {
        // The compiler reports its working directory without symbolic links.
        let workspace = self.workspace.canonicalize().with_context(|| self.workspace.display().to_string())?;
        let mut cargo = Command::new(cargo_for(compiler));
        cargo.current_dir(&workspace).env_clear().envs(kept_environment());
        for (setting, value) in [
            ("OPT_LEVEL", "3"),
            ("CODEGEN_UNITS", "1"),
            ("DEBUG", "2"),
            ("DEBUG_ASSERTIONS", "false"),
            ("INCREMENTAL", "false"),
            ("LTO", "off"),
            ("OVERFLOW_CHECKS", "false"),
            ("PANIC", "abort"),
            ("STRIP", "none"),
        ] {
            cargo.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
        }
        let linker_setting = self.target.triple.to_uppercase().replace('-', "_");
        cargo
            .env(format!("CARGO_TARGET_{linker_setting}_LINKER"), &linker.path)
            .env("CARGO_ENCODED_RUSTFLAGS", self.rustflags(&workspace, compiler))
            .env("RUSTC", &compiler.rustc)
            .env("RUSTC_BOOTSTRAP", "1")
            // An empty wrapper overrides one that a configuration file names.
            .env("RUSTC_WRAPPER", "")
            .env("RUSTC_WORKSPACE_WRAPPER", "")
            .args(["build", "--locked", "--release", "--package", self.package, "--bin", self.package])
            .args(["--features", self.features])
            .args(["--target", self.target.triple, "--target-dir"])
            .arg(self.target_dir);
        if compiler.core == Core::Source {
            cargo.args(["-Z", "build-std=core"]);
        }
        let output = cargo.output().with_context(|| format!("{} does not run", cargo.get_program().display()))?;
        let messages = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{messages}\n{} did not compile with {} (LLVM {}) and {}",
            self.package,
            compiler.rustc.display(),
            compiler.llvm_major,
            linker.path.display()
        );
        Ok(KernelObject {
            path: self.target_dir.join(self.target.triple).join("release").join(self.package),
            warnings: warnings(&messages),
        })
    }

    fn rustflags(&self, workspace: &Path, compiler: &Compiler) -> OsString {
        let mut flags: Vec<OsString> = vec![
            "-Ctarget-cpu=v3".into(),
            "-Ctarget-feature=+allows-misaligned-mem-access".into(),
            "-Clink-arg=--btf".into(),
            format!("--cfg=bpf_target_arch=\"{}\"", self.target.host_arch).into(),
        ];
        if self.source_paths == SourcePaths::Remapped {
            flags.extend(remapped_paths(workspace, compiler).into_iter().map(|(from, to)| {
                let mut flag = OsString::from("--remap-path-prefix=");
                flag.push(from);
                flag.push("=");
                flag.push(to);
                flag
            }));
        }
        flags.join("\x1f".as_ref())
    }
}

/// The warnings that point into a source file; one about the flags above, that BPF's features are unstable, points nowhere.
fn warnings(messages: &str) -> Vec<String> {
    let lines = messages.lines().zip(messages.lines().skip(1));
    lines
        .filter_map(|(warning, place)| {
            let warning = warning.strip_prefix("warning: ")?;
            Some(format!("{}: {warning}", place.trim_start().strip_prefix("--> ")?))
        })
        .collect()
}

/// rust-src may need a cargo of its own age; a prebuilt core works with any, and distributions package old ones.
fn cargo_for(compiler: &Compiler) -> PathBuf {
    let own = compiler.sysroot.join("bin/cargo");
    if compiler.core == Core::Source && own.is_file() {
        return own;
    }
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

fn kept_environment() -> impl Iterator<Item = (OsString, OsString)> {
    env::vars_os().filter(|(name, _)| {
        name.to_str().is_some_and(|name| {
            KEPT.contains(&name)
                || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                || name.to_ascii_lowercase().ends_with("_proxy")
        })
    })
}

/// Real prefixes and their stand-ins; of several that match the compiler takes the last.
fn remapped_paths(workspace: &Path, compiler: &Compiler) -> Vec<(PathBuf, &'static str)> {
    let mut paths = Vec::new();
    if let Some(home) = cargo_home() {
        // The name of a registry's directory depends on the registry that served it.
        let registries = fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten();
        let mut sources: Vec<_> = registries.map(|registry| (registry.path(), "crates")).collect();
        sources.sort();
        paths.push((home, "cargo"));
        paths.extend(sources);
    }
    paths.push((compiler.sysroot.join("lib/rustlib/src/rust"), "rust"));
    paths.push((workspace.to_owned(), "guard"));
    paths
}

fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")))
}
