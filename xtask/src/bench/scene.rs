//! One list of one family, every contender that holds it, and the rounds in which they take turns.

use std::{any::Any, fmt, iter, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use guard_tests::{Family, Host, wait};

use super::{
    contender::{Contender, Material},
    generator::{Generator, SENT, TIMED},
    list::{self, Entries},
    object::Object,
    sources::{self, Mix, SOURCES},
    stage::{self, Stage, unspecified},
};

/// How long frames may take from the end of a run until they are counted.
const SOON: Duration = Duration::from_secs(5);

/// Which list, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) family: Family,
    pub(super) entries: Entries,
    /// How many entries the list has.
    pub(super) length: usize,
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The generator alone, which drops its frames itself: its own share in all else.
    Generator,
    Contender(Contender),
}

/// What one subject took for a packet, each time it was timed, in nanoseconds.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) setting: Setting,
    pub(super) subject: Subject,
    pub(super) mix: Mix,
    pub(super) times_ns: Vec<u64>,
}

impl Row {
    pub(super) fn minimum_ns(&self) -> u64 {
        self.sorted_ns()[0]
    }

    pub(super) fn median_ns(&self) -> u64 {
        self.sorted_ns()[self.times_ns.len() / 2]
    }

    /// Never empty: every subject has its turns.
    fn sorted_ns(&self) -> Vec<u64> {
        let mut sorted = self.times_ns.clone();
        sorted.sort_unstable();
        sorted
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = match self.entries {
            Entries::Prefixes => "prefixes",
            Entries::Addresses => "addresses",
        };
        write!(f, "{}, {} {entries}", self.family, self.length)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generator => f.pad("generator alone"),
            Self::Contender(contender) => contender.fmt(f),
        }
    }
}

/// Sets every contender up, checks that each passes the listed and drops the rest, and measures them in turns.
pub(super) fn measure(
    setting: Setting,
    contenders: &[Contender],
    rounds: usize,
    object: &Object,
    guard: &Path,
) -> anyhow::Result<Vec<Row>> {
    let Setting { family, entries, length } = setting;
    let list = list::list(family, entries, length);
    let host = generator_host();
    let load = |mix| Generator::load(object, &host, family, &sources::sources(family, &list, mix));
    let mut generators = Mix::ALL.into_iter().map(load).collect::<anyhow::Result<Vec<_>>>()?;
    let material = Material { object, guard, family, list: &list };
    let taking_part = contenders.iter().copied().filter(|contender| contender.takes(entries));
    let standing = taking_part
        .enumerate()
        .map(|(number, contender)| Standing::set_up(contender, &host, number, material))
        .collect::<anyhow::Result<Vec<_>>>()?;

    let mut courses = Vec::new();
    for standing in iter::once(None).chain(standing.iter().map(Some)) {
        courses.extend(Mix::ALL.map(|mix| Course { standing, family, mix, times_ns: Vec::new() }));
    }
    for _ in 0..rounds {
        for turn in courses.chunks_mut(Mix::ALL.len()) {
            for (course, generator) in turn.iter_mut().zip(&mut generators) {
                course.times_ns.extend(course.run(generator)?);
            }
        }
    }
    Ok(courses.into_iter().map(|course| course.into_row(setting)).collect())
}

/// A host from which the generator sends. It says nothing by itself: every frame that a stage receives is the generator's.
pub(super) fn generator_host() -> Host {
    let host = Host::new("generator");
    for interfaces in ["all", "default"] {
        host.sysctl(&format!("net/ipv6/conf/{interfaces}/disable_ipv6"), "1");
    }
    host
}

/// A contender at work.
struct Standing {
    contender: Contender,
    stage: Stage,
    _life: Option<Box<dyn Any>>,
}

impl Standing {
    fn set_up(contender: Contender, generator: &Host, number: usize, material: Material<'_>) -> anyhow::Result<Self> {
        let stage = Stage::new(generator, &format!("wire{number}"))?;
        let life = contender.install(&stage, material).with_context(|| format!("setting up {contender}"))?;
        Ok(Self { contender, stage, _life: life })
    }

    /// Lets the generator send, and fails if a packet was lost, or got another verdict than it should.
    fn run(&self, generator: &mut Generator, course: &Course<'_>) -> anyhow::Result<[u64; TIMED]> {
        let Self { contender, stage, .. } = self;
        let received = stage.received();
        stage.passed()?;
        let times_ns = generator.run(&stage.frame(course.family), Some(stage.interface()))?;
        wait::until(SOON, || (stage.received() >= received + SENT).then_some(()));
        let arrived = stage.received() - received;
        ensure!(arrived == SENT, "{contender}: {arrived} of {SENT} packets arrived");
        let passed = stage.passed()?;
        let expected = SENT / SOURCES as u64 * contender.passes(course.mix) as u64;
        ensure!(passed == expected, "{contender} let {passed} of {SENT} packets through, not {expected}");
        Ok(times_ns)
    }
}

/// One subject under one mix.
struct Course<'a> {
    /// None: the generator drops its frames itself.
    standing: Option<&'a Standing>,
    family: Family,
    mix: Mix,
    times_ns: Vec<u64>,
}

impl Course<'_> {
    fn run(&self, generator: &mut Generator) -> anyhow::Result<[u64; TIMED]> {
        match self.standing {
            Some(standing) => standing.run(generator, self).with_context(|| format!("{} sources", self.mix)),
            None => generator.run(&stage::frame(unspecified(self.family), [2; 6], [4; 6]), None),
        }
    }

    fn into_row(self, setting: Setting) -> Row {
        let subject = self.standing.map_or(Subject::Generator, |standing| Subject::Contender(standing.contender));
        Row { setting, subject, mix: self.mix, times_ns: self.times_ns }
    }
}
