//! What on this machine can compile the kernel program: a compiler with the core library for BPF or its source, and bpf-linker.
//! Shared by guard's build script and `cargo xtask`; knows nothing of the program itself and changes nothing.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};

pub(crate) const BPF_LINKER_VERSION: &str = "0.13.0";

/// The workspace's `rust-version`.
const OLDEST_RUSTC: &str = env!("CARGO_PKG_RUST_VERSION");

/// The kernel's side of a build target.
pub(crate) struct Target {
    /// `bpfel-unknown-none` or `bpfeb-unknown-none`.
    pub(crate) triple: &'static str,
    /// The processor of the host that loads the object, as `cfg(bpf_target_arch)` names it.
    pub(crate) host_arch: String,
}

impl Target {
    pub(crate) fn new(host_arch: String, endian: &str) -> Self {
        let triple = if endian == "big" { "bpfeb-unknown-none" } else { "bpfel-unknown-none" };
        Self { triple, host_arch }
    }
}

/// Where a compiler has the core library for BPF from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Core {
    Prebuilt,
    Source,
}

pub(crate) struct Compiler {
    pub(crate) rustc: PathBuf,
    pub(crate) sysroot: PathBuf,
    pub(crate) core: Core,
    pub(crate) llvm_major: u32,
}

pub(crate) struct Linker {
    pub(crate) path: PathBuf,
    /// None where LLVM is linked statically, which hides its version.
    llvm_major: Option<u32>,
}

impl Linker {
    fn reads(&self, compiler: &Compiler) -> bool {
        self.llvm_major.is_none_or(|major| major == compiler.llvm_major)
    }
}

struct Candidate<T> {
    name: String,
    found: anyhow::Result<T>,
}

/// Every compiler and linker that was looked at, in order of preference, the unfit ones with the reason.
pub(crate) struct Probe {
    compilers: Vec<Candidate<Compiler>>,
    linkers: Vec<Candidate<Linker>>,
}

impl Probe {
    pub(crate) fn new(target: &Target) -> Self {
        let compilers = match env::var_os("EBPF_RUSTC") {
            Some(rustc) => vec![("EBPF_RUSTC", Ok(PathBuf::from(rustc)))],
            None => vec![
                ("RUSTC", Ok(env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from))),
                ("rustup nightly", rustup_rustc("nightly")),
                ("rustup stable", rustup_rustc("stable")),
                ("Debian", Ok(PathBuf::from("/usr/bin/rustc"))),
            ],
        };
        Self {
            compilers: compilers
                .into_iter()
                .map(|(name, rustc)| Candidate {
                    name: rustc.as_ref().map_or(name.into(), |rustc| format!("{name}: {}", rustc.display())),
                    found: rustc.and_then(|rustc| examine_compiler(&rustc, target)),
                })
                .collect(),
            linkers: linker_paths()
                .into_iter()
                .map(|path| Candidate { name: path.display().to_string(), found: examine_linker(&path) })
                .collect(),
        }
    }

    /// The first compiler for which there is a linker, and that linker.
    pub(crate) fn toolchain(&self) -> Option<(&Compiler, &Linker)> {
        self.compilers().find_map(|compiler| Some((compiler, self.linkers().find(|linker| linker.reads(compiler))?)))
    }

    pub(crate) fn compilers(&self) -> impl Iterator<Item = &Compiler> {
        self.compilers.iter().filter_map(|candidate| candidate.found.as_ref().ok())
    }

    fn linkers(&self) -> impl Iterator<Item = &Linker> {
        self.linkers.iter().filter_map(|candidate| candidate.found.as_ref().ok())
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "probed for a compiler:")?;
        for Candidate { name, found } in &self.compilers {
            match found {
                Ok(compiler) => writeln!(f, "  {name}: found, LLVM {}", compiler.llvm_major)?,
                Err(error) => writeln!(f, "  {name}: {error:#}")?,
            }
        }
        writeln!(f, "probed for bpf-linker, whose LLVM must be the compiler's:")?;
        for Candidate { name, found } in &self.linkers {
            match found {
                Ok(Linker { llvm_major: Some(major), .. }) => writeln!(f, "  {name}: found, LLVM {major}")?,
                Ok(_) => writeln!(f, "  {name}: found, LLVM linked statically")?,
                Err(error) => writeln!(f, "  {name}: {error:#}")?,
            }
        }
        Ok(())
    }
}

/// The commands that make a toolchain by hand.
pub(crate) fn remedy() -> String {
    format!(
        r#"One of these helps; `cargo xtask setup` runs the first that it can.
  1. Debian's compiler:
     apt-get update && apt-get install --no-install-recommends rustc-web libstd-rust-web-dev-bpf
     RUSTC=/usr/bin/rustc
  2. rustup's nightly:
     rustup toolchain install nightly --profile minimal --component rust-src
     RUSTC=$(rustup which --toolchain nightly rustc)
  then, after 1 or 2, the linker with that compiler's LLVM:
     LLVM=$(ldd "$RUSTC" | awk '/libLLVM/ {{ print $3 }}')
     MAJOR=$("$RUSTC" -vV | sed -n 's/LLVM version: \([0-9]*\).*/\1/p')
     RUSTFLAGS="-C link-arg=$LLVM -C link-arg=-Wl,-rpath,${{LLVM%/*}}" cargo install bpf-linker --force \
       --version {BPF_LINKER_VERSION} --locked --no-default-features --features llvm-$MAJOR,no-llvm-linking
  3. A prebuilt object: EBPF_OBJECT=/path/to/guard-ebpf"#
    )
}

/// The shared LLVM that a program runs with.
pub(crate) fn shared_llvm(program: &Path) -> Option<PathBuf> {
    let libraries = output(Command::new("ldd").arg(program)).ok()?;
    let line = libraries.lines().find(|line| line.contains("libLLVM"))?;
    line.split_whitespace().nth(2).map(PathBuf::from)
}

/// The programs of this name in `PATH`, in its order.
pub(crate) fn in_path(program: &str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = env::split_paths(&path).collect();
    directories.into_iter().map(move |directory| directory.join(program)).filter(|path| path.is_file())
}

fn rustup_rustc(toolchain: &str) -> anyhow::Result<PathBuf> {
    let mut rustup = Command::new("rustup");
    // A look must not install a toolchain.
    rustup.env("RUSTUP_AUTO_INSTALL", "0").args(["which", "--toolchain", toolchain, "rustc"]);
    output(&mut rustup).map(PathBuf::from)
}

fn examine_compiler(rustc: &Path, target: &Target) -> anyhow::Result<Compiler> {
    let sysroot = PathBuf::from(output(Command::new(rustc).args(["--print", "sysroot"]))?);
    let version = output(Command::new(rustc).arg("-vV"))?;
    let field = |name| {
        version.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no `{name}` in `rustc -vV`"))
    };
    let release = field("release: ")?;
    ensure!(numbers(release).take(2).ge(numbers(OLDEST_RUSTC)), "{release} is older than {OLDEST_RUSTC}");
    let llvm_major = numbers(field("LLVM version: ")?).next().context("LLVM version without a number")?;
    let core = if has_prebuilt_core(&sysroot, target) {
        Core::Prebuilt
    } else if sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file() {
        Core::Source
    } else {
        bail!("{} has neither a core library for {} nor rust-src", sysroot.display(), target.triple);
    };
    // The compiler itself, past rustup's proxy, whose choice depends on the directory and the environment.
    let own = sysroot.join("bin/rustc");
    let rustc = if own.is_file() { own } else { rustc.to_owned() };
    Ok(Compiler { rustc, sysroot, core, llvm_major })
}

fn has_prebuilt_core(sysroot: &Path, target: &Target) -> bool {
    let Ok(libraries) = fs::read_dir(sysroot.join("lib/rustlib").join(target.triple).join("lib")) else {
        return false;
    };
    libraries.flatten().any(|library| library.file_name().to_string_lossy().starts_with("libcore-"))
}

fn linker_paths() -> Vec<PathBuf> {
    let homes = [env::var_os("CARGO_HOME").map(PathBuf::from), env::home_dir().map(|home| home.join(".cargo"))];
    let installed = homes.into_iter().flatten().map(|home| home.join("bin/bpf-linker"));
    let mut paths = Vec::new();
    for path in in_path("bpf-linker").chain(installed) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

fn examine_linker(path: &Path) -> anyhow::Result<Linker> {
    ensure!(path.is_file(), "no such file");
    output(Command::new(path).arg("--version"))?;
    let llvm_major = shared_llvm(path).and_then(|llvm| numbers(llvm.file_name()?.to_str()?).next());
    Ok(Linker { path: path.to_owned(), llvm_major })
}

fn numbers(text: &str) -> impl Iterator<Item = u32> {
    text.split(|letter: char| !letter.is_ascii_digit()).filter_map(|part| part.parse().ok())
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("`{program}` does not run"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{program}`: {}", complaint.lines().next().unwrap_or("failed"));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
