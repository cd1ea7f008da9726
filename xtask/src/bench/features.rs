//! Limits and replies: what each costs a packet. guard beside guard, each with another policy, and no rival.

mod case;
mod goals;
mod standing;

use std::{collections::HashMap, path::Path};

use anyhow::Context as _;
use guard_tests::{Family, Host};

use self::{
    case::{CASES, Case, Traffic},
    standing::Standing,
};
use super::{
    generator::{Addresses, Generator},
    object::Object,
    scene::generator_host,
    table::{Table, grouped},
    times::Times,
};

/// What selects this part.
pub(super) const NAME: &str = "limits and replies";

/// What one case took for a packet.
pub(super) struct Figure {
    family: Family,
    case: Case,
    times: Times,
}

/// Measures every case of both families, those of one family by turns.
pub(super) fn measure(rounds: usize, object: &Object, guard: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for family in Family::ALL {
        println!("{family}, {NAME}");
        let measured = measure_family(family, rounds, object, guard);
        figures.extend(measured.with_context(|| format!("{family}, {NAME}"))?);
    }
    Ok(figures)
}

fn measure_family(family: Family, rounds: usize, object: &Object, guard: &Path) -> anyhow::Result<Vec<Figure>> {
    let host = generator_host();
    let mut generators = Generators { family, object, host: &host, loaded: HashMap::new() };
    let mut standings: Vec<Standing> = Vec::new();
    for Case { variant, .. } in CASES {
        if standings.iter().all(|standing| standing.variant != variant) {
            let standing = Standing::set_up(variant, &host, standings.len(), guard)?;
            standing.prepare(&mut generators).with_context(|| format!("preparing `{variant}`"))?;
            standings.push(standing);
        }
    }
    let mut figures: Vec<_> = CASES.map(|case| Figure { family, case, times: Times::default() }).into();
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
        "\n### Limits and replies: ns a packet, minimum (median)\n\n{incoming}\
         \n### Packets that leave: ns a packet, minimum (median)\n\n{leaving}\
         \n### Limits and replies: ratios of minima\n\n{ratios}"
    )
}

fn table(figures: &[Figure], is_in: impl Fn(Traffic) -> bool) -> String {
    let mut table = Table::new(["policy", "packets", "addresses", "IPv4", "IPv6"].map(str::to_owned));
    for case in CASES {
        if is_in(case.traffic) {
            let cell = |family| times(figures, family, case).to_string();
            let [v4, v6] = Family::ALL.map(cell);
            table.push([case.variant.to_string(), case.traffic.to_string(), grouped(case.size as usize), v4, v6]);
        }
    }
    table.render()
}

fn times(figures: &[Figure], family: Family, case: Case) -> &Times {
    let figure = figures.iter().find(|figure| figure.family == family && figure.case == case);
    &figure.expect("every case is measured in both families").times
}
