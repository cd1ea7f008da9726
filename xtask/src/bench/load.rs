//! What it takes to load a million prefixes, and to add one to them.

use std::{
    fs::{self, File},
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use guard_tests::{Family, Guard, Host};
use ipnet::IpNet;

use super::{
    contender::{Contender, LIST, Overlaps, load_nft, run_guard},
    generator::{Addresses, Generator, SENT},
    goals::Bound,
    list::{self, Entries},
    object::Object,
    pattern::Pattern,
    scene::generator_host,
    sources::SOURCES,
    stage::Stage,
};

pub(super) const LENGTH: usize = 1_000_000;
/// How often each of the three is loaded, by turns; the shortest time counts.
const LOADS: usize = 3;
/// When memory has settled after a start or a reload.
const SETTLED: Duration = Duration::from_secs(5);
/// An address that no list holds: it is kept for benchmarks.
const ADDED: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 19, 255, 1));

/// The figures.
pub(super) struct Load {
    nft_s: f64,
    /// Of the list that is merged before.
    nft_merged_s: f64,
    guard_s: f64,
    started: Memory,
    added_s: f64,
    reloaded: Memory,
}

/// The most that guard's daemon has held in memory, and what it holds once that has settled.
#[derive(Default)]
struct Memory {
    peak_mib: f64,
    settled_mib: f64,
}

/// One of them, and its bound.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) figure: f64,
    pub(super) unit: &'static str,
    pub(super) bound: Option<(Bound, f64)>,
}

impl Load {
    pub(super) fn lines(&self) -> [Line; 10] {
        let Self { started, reloaded, .. } = self;
        let line = |name, figure, unit, bound| Line { name, figure, unit, bound };
        [
            line("`nft -f` of an interval set with `auto-merge`", self.nft_s, " s", None),
            line("`nft -f` of the list merged before, without `auto-merge`", self.nft_merged_s, " s", None),
            line("guard, start to enforced", self.guard_s, " s", None),
            line("nft / guard, of the same list", self.nft_s / self.guard_s, "", Some((Bound::AtLeast, 15.0))),
            line("nft of the list merged before / guard", self.nft_merged_s / self.guard_s, "", None),
            line("guard's peak resident memory, of a start", started.peak_mib, " MiB", Some((Bound::AtMost, 150.0))),
            line(
                "guard's resident memory, 5 s after a start",
                started.settled_mib,
                " MiB",
                Some((Bound::AtMost, 60.0)),
            ),
            line("one entry added, written to enforced", self.added_s, " s", Some((Bound::AtMost, 1.0))),
            line("guard's peak resident memory, after a reload", reloaded.peak_mib, " MiB", None),
            line("guard's resident memory, 5 s after a reload", reloaded.settled_mib, " MiB", None),
        ]
    }
}

impl Memory {
    /// Waits until a process's memory has settled, and takes its figures where they are higher.
    fn settle(&mut self, process: u32) -> anyhow::Result<()> {
        thread::sleep(SETTLED);
        self.peak_mib = self.peak_mib.max(memory_mib(process, "VmHWM:")?);
        self.settled_mib = self.settled_mib.max(memory_mib(process, "VmRSS:")?);
        Ok(())
    }
}

/// Loads the same list into nft, as it is and merged, and into guard, by turns, and adds an entry to guard's.
pub(super) fn measure(object: &Object, binary: &Path) -> anyhow::Result<Load> {
    let list = list::list(Family::V4, Entries::Prefixes, LENGTH);
    let host = generator_host();
    let merged = IpNet::aggregate(&list);
    let mut load = Load {
        nft_s: f64::INFINITY,
        nft_merged_s: f64::INFINITY,
        guard_s: f64::INFINITY,
        started: Memory::default(),
        added_s: f64::INFINITY,
        reloaded: Memory::default(),
    };
    // They stay to the end: clearing one away keeps the kernel busy for a while.
    let stages = (0..3 * LOADS).map(|number| Stage::new(&host, &format!("wire{number}")));
    let stages = stages.collect::<anyhow::Result<Vec<_>>>()?;
    for [for_nft, for_merged, for_guard] in stages.as_chunks().0 {
        let took = load_nft(for_nft, Family::V4, &list, Contender::NftPrerouting, Overlaps::Merged)?;
        load.nft_s = load.nft_s.min(took.as_secs_f64());
        let took = load_nft(for_merged, Family::V4, &merged, Contender::NftPrerouting, Overlaps::Absent)?;
        load.nft_merged_s = load.nft_merged_s.min(took.as_secs_f64());
        let (mut guard, took) = run_guard(for_guard, &list, binary)?;
        load.guard_s = load.guard_s.min(took.as_secs_f64());
        let process = guard.process().id();
        load.started.settle(process)?;
        load.added_s = load.added_s.min(add_entry(object, &host, for_guard, &guard)?.as_secs_f64());
        load.reloaded.settle(process)?;
    }
    Ok(load)
}

/// Adds an entry to the list's file and has guard read it again. Checks that its packets pass afterwards and not before.
fn add_entry(object: &Object, host: &Host, stage: &Stage, guard: &Guard) -> anyhow::Result<Duration> {
    let mut generator =
        Generator::load(object, host, Pattern::to_service(Family::V4), Addresses::Table(&[ADDED; SOURCES]))?;
    stage.time(&mut generator, 0).with_context(|| format!("packets from {ADDED} before it is listed"))?;
    let path = stage.host().outside(LIST);
    let start = Instant::now();
    writeln!(File::options().append(true).open(&path)?, "{ADDED}").with_context(|| path.display().to_string())?;
    let answer = guard.ask(&["reload"]);
    let took = start.elapsed();
    ensure!(answer.status.success(), "`guard reload` failed: {}", answer.stderr.join("\n"));
    stage.time(&mut generator, SENT).with_context(|| format!("packets from {ADDED} after `guard reload`"))?;
    Ok(took)
}

/// A line of the kernel's account of a process's memory, which it keeps in KiB.
fn memory_mib(process: u32, line: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let mut words = status.split_whitespace().skip_while(|word| *word != line).skip(1);
    let kib: f64 = words.next().with_context(|| format!("no `{line}` of process {process}"))?.parse()?;
    Ok(kib / 1024.0)
}
