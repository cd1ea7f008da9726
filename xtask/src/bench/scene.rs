//! One list of one family, every contender that holds it, and the rounds in which they take turns.

use std::{any::Any, fmt, iter, path::Path};

use anyhow::Context as _;
use guard_tests::{Family, Host};

use super::{
    contender::{Contender, Material},
    generator::{Addresses, Generator, SENT, TIMED},
    list::{self, Entries},
    object::Object,
    pattern::Pattern,
    sources::{self, Mix, SOURCES},
    stage::Stage,
    times::Times,
};

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

/// What one subject took for a packet.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) setting: Setting,
    pub(super) subject: Subject,
    pub(super) mix: Mix,
    pub(super) times: Times,
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
    let load = |mix| {
        let sources = sources::sources(family, &list, mix);
        Generator::load(object, &host, Pattern::to_service(family), Addresses::Table(&sources))
    };
    let mut generators = Mix::ALL.into_iter().map(load).collect::<anyhow::Result<Vec<_>>>()?;
    let material = Material { object, guard, family, list: &list };
    let taking_part = contenders.iter().copied().filter(|contender| contender.takes(entries));
    let standing = taking_part
        .enumerate()
        .map(|(number, contender)| Standing::set_up(contender, &host, number, material))
        .collect::<anyhow::Result<Vec<_>>>()?;

    let mut courses = Vec::new();
    for standing in iter::once(None).chain(standing.iter().map(Some)) {
        courses.extend(Mix::ALL.map(|mix| Course { standing, mix, times: Times::default() }));
    }
    for _ in 0..rounds {
        for turn in courses.chunks_mut(Mix::ALL.len()) {
            for (course, generator) in turn.iter_mut().zip(&mut generators) {
                course.times.extend(course.run(generator)?);
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

    fn run(&self, generator: &mut Generator, mix: Mix) -> anyhow::Result<[u64; TIMED]> {
        let passing = SENT / SOURCES as u64 * self.contender.passes(mix) as u64;
        self.stage.time(generator, passing).with_context(|| format!("{}, {mix} sources", self.contender))
    }
}

/// One subject under one mix.
struct Course<'a> {
    /// None: the generator drops its frames itself.
    standing: Option<&'a Standing>,
    mix: Mix,
    times: Times,
}

impl Course<'_> {
    fn run(&self, generator: &mut Generator) -> anyhow::Result<[u64; TIMED]> {
        match self.standing {
            Some(standing) => standing.run(generator, self.mix),
            None => generator.run(None),
        }
    }

    fn into_row(self, setting: Setting) -> Row {
        let subject = self.standing.map_or(Subject::Generator, |standing| Subject::Contender(standing.contender));
        Row { setting, subject, mix: self.mix, times: self.times }
    }
}
