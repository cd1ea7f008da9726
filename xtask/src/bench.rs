//! The benchmark: what a packet costs through guard, and through what else filters by source, side by side in one run.

mod contender;
mod crowd;
mod daemon;
mod document;
mod features;
mod generator;
mod goals;
mod list;
mod load;
mod machine;
mod object;
mod pattern;
mod random;
mod report;
mod scene;
mod sources;
mod stage;
mod table;
mod times;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::{Args, builder::RangedU64ValueParser};
use guard_tests::Family;
use nix::unistd::geteuid;

use self::{contender::Contender, list::Entries, object::Object, scene::Setting};
use crate::{
    command,
    setup::{self, Consent, Tool},
};

/// How long a program may take to set a contender up.
const LIMIT: Duration = Duration::from_secs(300);

/// Lengths of the lists.
const LENGTHS: [usize; 4] = [10, 1_000, 100_000, 1_000_000];
/// The longest list of single addresses; xdp-filter holds 10,000.
const ADDRESSES_MAX: usize = 1_000;
const ROUNDS: usize = 7;
const QUICK_ROUNDS: usize = 3;

/// What the contenders are set up with; the packages are Debian's.
const TOOLS: [Tool; 5] = [
    Tool { program: "iptables", package: "iptables", reason: "is measured" },
    Tool { program: "ipset", package: "ipset", reason: "is measured" },
    Tool { program: "xdp-filter", package: "xdp-tools", reason: "is measured" },
    Tool { program: "ethtool", package: "ethtool", reason: "has the driver of the contenders' interfaces poll" },
    Tool { program: "chrt", package: "util-linux", reason: "has the generator run before other programs" },
];

#[derive(Args)]
pub(crate) struct Options {
    /// Takes lists of 10 and 1,000 entries and 3 rounds only; its figures are not for publishing
    #[arg(long)]
    quick: bool,
    /// Takes lists of these lengths only
    #[arg(long, value_name = "ENTRIES", value_delimiter = ',', value_parser = lengths())]
    lengths: Vec<usize>,
    /// Measures only what has one of these in its name: contenders, such as `guard,bare`; `features`, or of those a policy or kind
    /// of packet, such as `caps,no limit`
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Measures this binary of guard and builds none
    #[arg(long, value_name = "PATH")]
    guard: Option<PathBuf>,
    /// Puts the figures into docs/benchmarks.md
    #[arg(long, conflicts_with_all = ["quick", "lengths", "only", "guard"])]
    write: bool,
}

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    ensure!(
        geteuid().is_root(),
        "the benchmark needs root: it makes network namespaces and loads programs into the kernel"
    );
    setup::run(root, Consent::Asked, &TOOLS)?;
    let target_dir = command::target_dir()?;
    let guard = match &options.guard {
        Some(path) => path.canonicalize().with_context(|| path.display().to_string())?,
        None => {
            command::run(command::cargo(root).args(["build", "--release", "--locked"]))?;
            target_dir.join("release/guard")
        }
    };
    let machine = machine::describe(root, options.guard.as_deref())?;
    let object = Object::compile(root, &target_dir)?;
    let contenders = options.contenders()?;
    let mut rows = Vec::new();
    for setting in options.settings(&contenders) {
        println!("{setting}");
        let measured = scene::measure(setting, &contenders, options.rounds(), &object, &guard);
        rows.extend(measured.with_context(|| setting.to_string())?);
    }
    let daemon = if contenders.contains(&Contender::Guard) { Some(daemon::measure(&object, &guard)?) } else { None };
    let mut figures = report::packets(&machine, &rows, daemon.as_ref());
    let cases = options.features();
    if !cases.is_empty() {
        figures.push_str(&features::report(&features::measure(&cases, options.rounds(), &object, &guard)?));
    }
    println!("\n{figures}");
    if options.loads(&contenders) {
        println!("loading a million prefixes");
        let loading = report::loading(&load::measure(&object, &guard)?);
        println!("{loading}");
        figures.push_str(&loading);
    }
    if options.quick {
        println!("QUICK: {QUICK_ROUNDS} rounds instead of {ROUNDS}; not for publishing");
    }
    if options.write {
        document::write(root, &figures)?;
    }
    Ok(())
}

/// As long as the contenders can hold.
fn lengths() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1_000_000)
}

impl Options {
    fn contenders(&self) -> anyhow::Result<Vec<Contender>> {
        let contenders = Contender::ALL.into_iter().filter(|contender| self.wants(contender.name()));
        let contenders: Vec<_> = contenders.collect();
        ensure!(
            !contenders.is_empty() || !self.features().is_empty(),
            "nothing that is measured is named like {}",
            self.only.join(" or ")
        );
        Ok(contenders)
    }

    /// Which of guard's own features are to be measured, one against the other.
    fn features(&self) -> Vec<features::Case> {
        features::cases(|name| self.wants(name))
    }

    fn wants(&self, name: &str) -> bool {
        let is_in_name = |part: &String| name.to_lowercase().contains(&part.to_lowercase());
        self.only.is_empty() || self.only.iter().any(is_in_name)
    }

    fn settings(&self, contenders: &[Contender]) -> Vec<Setting> {
        let lengths = match (&self.lengths[..], self.quick) {
            ([], true) => &LENGTHS[..2],
            ([], false) => &LENGTHS[..],
            (lengths, _) => lengths,
        };
        let mut settings = Vec::new();
        if contenders.is_empty() {
            return settings;
        }
        for family in Family::ALL {
            for length in lengths.iter().copied() {
                settings.push(Setting { family, entries: Entries::Prefixes, length });
                if length <= ADDRESSES_MAX && contenders.contains(&Contender::XdpFilter) {
                    settings.push(Setting { family, entries: Entries::Addresses, length });
                }
            }
        }
        settings
    }

    /// Whether the figures of [`load`] are asked for: where guard and nft are measured with as long a list.
    fn loads(&self, contenders: &[Contender]) -> bool {
        let has_both =
            [Contender::Guard, Contender::NftPrerouting].iter().all(|contender| contenders.contains(contender));
        has_both && self.settings(contenders).iter().any(|setting| setting.length == load::LENGTH)
    }

    fn rounds(&self) -> usize {
        if self.quick { QUICK_ROUNDS } else { ROUNDS }
    }
}
