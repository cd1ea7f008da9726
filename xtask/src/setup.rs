//! Installs what the build and the tests need, and nothing when it is there.

mod apt;
mod kernel;

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
};

use anyhow::{bail, ensure};

pub(crate) use self::kernel::host_target;
use self::kernel::{Lack, Remedy};
use crate::{command, toolchain::BPF_LINKER_VERSION};

/// Whether the user is asked before something is installed. Without a terminal nobody can be asked, and setup goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    Asked,
    Given,
}

/// A program that is run, and Debian's package of it.
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
    pub(crate) reason: &'static str,
}

/// What the demo and the tests run; the packages are Debian's.
const TOOLS: [Tool; 5] = [
    Tool { program: "curl", package: "curl", reason: "fetches by name from a guarded host" },
    Tool { program: "ip", package: "iproute2", reason: "makes the namespaces and links of the tests" },
    Tool {
        program: "nft",
        package: "nftables",
        reason: "has the kernel track and masquerade what passes a host of the tests",
    },
    Tool { program: "nmap", package: "nmap", reason: "scans a guarded host from outside" },
    Tool { program: "nsenter", package: "util-linux", reason: "runs a program in a namespace of the tests" },
];

/// Installs what is missing, of `more` as well.
pub(crate) fn run(root: &Path, consent: Consent, more: &[Tool]) -> anyhow::Result<()> {
    let tools: Vec<_> = TOOLS.iter().chain(more).filter(|tool| !command::is_installed(tool.program)).collect();
    let lack = kernel::lack(root)?;
    if tools.is_empty() && lack.is_none() {
        println!("setup: nothing to install");
        return Ok(());
    }
    let plan = Plan::new(&tools, lack.as_ref())?;
    plan.print()?;
    ensure!(agreed(consent)?, "nothing was installed");
    plan.carry_out(root)
}

struct Plan {
    /// Debian's packages, and what each is for.
    packages: Vec<(&'static str, &'static str)>,
    kernel: Option<Remedy>,
}

impl Plan {
    fn new(tools: &[&Tool], lack: Option<&Lack>) -> anyhow::Result<Self> {
        let mut packages: Vec<_> = tools.iter().map(|tool| (tool.package, tool.reason)).collect();
        if !packages.is_empty() && !apt::is_usable() {
            let names: Vec<_> = packages.iter().map(|(package, _)| *package).collect();
            bail!("install {} yourself: setup needs apt-get, and root or sudo", names.join(", "));
        }
        if let Some(lack) = lack {
            print!("the kernel program can't be compiled yet\n{}", lack.probed);
        }
        let needs_compiler = lack.is_some_and(|lack| !lack.has_compiler);
        if apt::is_usable() && (needs_compiler || !packages.is_empty()) {
            apt::refresh();
        }
        let kernel = lack.map(Lack::remedy).transpose()?;
        if kernel == Some(Remedy::DebianCompiler) {
            packages.extend(kernel::DEBIAN_PACKAGES.map(|package| (package, "compiles the kernel program")));
        }
        Ok(Self { packages, kernel })
    }

    fn print(&self) -> anyhow::Result<()> {
        println!("setup installs");
        for (package, reason) in &self.packages {
            println!("  {package}: {reason}");
        }
        if !self.packages.is_empty() {
            println!("    {}", apt::size(&self.package_names())?);
        }
        if self.kernel == Some(Remedy::Nightly) {
            println!("  rustup's nightly with rust-src: compiles the kernel program");
            println!("    About 150 MB to download, 700 MB on disk.");
        }
        if self.kernel.is_some() {
            println!("  bpf-linker {BPF_LINKER_VERSION}: links the kernel program");
            println!("    From source: 10 MB to download, one to two minutes, 40 MB on disk.");
        }
        Ok(())
    }

    fn carry_out(&self, root: &Path) -> anyhow::Result<()> {
        if !self.packages.is_empty() {
            apt::install(&self.package_names())?;
        }
        self.kernel.map_or(Ok(()), |remedy| kernel::install(root, remedy))
    }

    fn package_names(&self) -> Vec<&'static str> {
        self.packages.iter().map(|(package, _)| *package).collect()
    }
}

fn agreed(consent: Consent) -> anyhow::Result<bool> {
    if consent == Consent::Given || !io::stdin().is_terminal() {
        return Ok(true);
    }
    print!("Go on? [Y/n] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    // At the end of the input nothing was answered.
    let answered = io::stdin().read_line(&mut answer)? > 0;
    Ok(answered && matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes"))
}
