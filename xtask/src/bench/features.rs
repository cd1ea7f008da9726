//! Limits, replies, connections and bans: what each costs a packet. guard beside guard, each with another policy, and no rival.

mod case;
mod goals;
mod standing;

use std::{collections::HashMap, path::Path};

use anyhow::Context as _;
use guard_tests::{Family, Host};

pub(super) use self::case::Case;
use self::{
    case::{CASES, Traffic},
    standing::Standing,
};
use super::{
    generator::{Addresses, Generator},
    object::Object,
    scene::generator_host,
    table::{Table, grouped},
    times::Times,
};

/// What selects this part whole.
const NAME: &str = "features";

/// What one case took for a packet.
pub(super) struct Figure {
    family: Family,
    case: Case,
    times: Times,
}

/// The cases whose names are wanted, or all if the whole part's is.
pub(super) fn cases(wants: impl Fn(&str) -> bool) -> Vec<Case> {
    let wants_all = wants(NAME);
    CASES.into_iter().filter(|case| wants_all || wants(&case.to_string())).collect()
}

/// Measures cases of both families, those of one family by turns.
pub(super) fn measure(cases: &[Case], rounds: usize, object: &Object, guard: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for family in Family::ALL {
        println!("{family}, {NAME}");
        let measured = measure_family(family, cases, rounds, object, guard);
        figures.extend(measured.with_context(|| format!("{family}, {NAME}"))?);
    }
    Ok(figures)
}

fn measure_family(
    family: Family,
    cases: &[Case],
    rounds: usize,
    object: &Object,
    guard: &Path,
) -> anyhow::Result<Vec<Figure>> {
    let host = generator_host();
    let mut generators = Generators { family, object, host: &host, loaded: HashMap::new() };
    let mut standings: Vec<Standing> = Vec::new();
    for Case { variant, .. } in cases {
        if standings.iter().all(|standing| standing.variant != *variant) {
            let standing = Standing::set_up(*variant, &host, standings.len(), guard)?;
            standing.prepare(&mut generators).with_context(|| format!("preparing `{variant}`"))?;
            standings.push(standing);
        }
    }
    let figure = |case: &Case| Figure { family, case: *case, times: Times::default() };
    let mut figures: Vec<_> = cases.iter().map(figure).collect();
    for _ in 0..rounds {
        for Figure { case, times, .. } in &mut figures {
            let standing = standings.iter().find(|standing| standing.variant == case.variant);
            let standing = standing.expect("every case's variant was set up");
            times.extend(standing.time(*case, &mut generators).with_context(|| case.to_string())?);
        }
    }
    Ok(figures)
}

/// The generators of one family's packets. Variants share them, so each finds a large crowd where another has left it.
struct Generators<'a> {
    family: Family,
    object: &'a Object,
    host: &'a Host,
    loaded: HashMap<(Traffic, u32), Generator>,
}

impl Generators<'_> {
    fn of(&mut self, traffic: Traffic, size: u32) -> anyhow::Result<&mut Generator> {
        if !self.loaded.contains_key(&(traffic, size)) {
            let addresses = Addresses::Crowd(traffic.crowd(self.family, size));
            let generator = Generator::load(self.object, self.host, traffic.pattern(self.family), addresses)?;
            self.loaded.insert((traffic, size), generator);
        }
        Ok(self.loaded.get_mut(&(traffic, size)).expect("it is loaded by now"))
    }
}

/// The figures and the ratios that guard is held to.
pub(super) fn report(figures: &[Figure]) -> String {
    let incoming = table(figures, |traffic| !traffic.leaves());
    let leaving = table(figures, Traffic::leaves);
    let ratios = goals::table(figures);
    format!(
        "\n### Features: ns a packet, minimum (median)\n\n{incoming}\
         \n### Packets that leave: ns a packet, minimum (median)\n\n{leaving}\
         \n### Features: ratios of minima\n\n{ratios}"
    )
}

fn table(figures: &[Figure], is_in: impl Fn(Traffic) -> bool) -> String {
    let mut table = Table::new(["policy", "packets", "addresses", "IPv4", "IPv6"].map(str::to_owned));
    for case in CASES.into_iter().filter(|case| is_in(case.traffic)) {
        if let [Some(v4), Some(v6)] = Family::ALL.map(|family| times(figures, family, case)) {
            let [v4, v6] = [v4, v6].map(Times::to_string);
            table.push([case.variant.to_string(), case.traffic.to_string(), grouped(case.size as usize), v4, v6]);
        }
    }
    table.render()
}

fn times(figures: &[Figure], family: Family, case: Case) -> Option<&Times> {
    let figure = figures.iter().find(|figure| figure.family == family && figure.case == case);
    figure.map(|figure| &figure.times)
}
