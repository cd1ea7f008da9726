//! Where one variant stands: a stage with a second wire, by which packets come in that leave by the guarded one.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context as _, ensure};
use guard_tests::{Cgroup, Guard, Host, Link, wait};
use ipnet::IpNet;
use serde_json::Value;

use super::{
    Generators,
    case::{BANS, Case, MILLION, SIZES, SOME, Traffic, Variant},
};
use crate::bench::{
    contender::run_policy,
    generator::{Generator, SENT, TIMED},
    stage::{INTERFACE, SOON, Stage, run_whole},
};

/// The interface that the packets come in by that leave.
const INSIDE: &str = "inside";

/// As many flows are known where as many are as can be, or more: each takes two of the table's 65,536 entries, of which the kernel
/// keeps some free.
const FULL: u64 = 30_000;

/// A variant at work.
pub(super) struct Standing {
    pub(super) variant: Variant,
    stage: Stage,
    inside: Link,
    guard: Option<Guard>,
    /// Empty: what is counted are handshakes.
    _cgroup: Option<Cgroup>,
}

impl Standing {
    pub(super) fn set_up(variant: Variant, generator: &Host, number: usize, binary: &Path) -> anyhow::Result<Self> {
        let stage = Stage::new(generator, &format!("wire{number}"))?;
        let inside = Link::between(generator, &format!("inside{number}"), stage.host(), INSIDE);
        stage.poll(INSIDE)?;
        // Past routing, which is not to be measured, and through everything that an interface has at egress.
        stage.load_rules(
            "leaving.nft",
            format!(
                "\
table netdev leaving {{
  chain ingress {{
    type filter hook ingress device \"{INSIDE}\" priority 0; policy accept;
    fwd to \"{INTERFACE}\"
  }}
}}
"
            ),
        )?;
        let cgroup = variant.tracks().then(Cgroup::new);
        let key = cgroup.as_ref().map_or(String::new(), |cgroup| format!("cgroup = {:?}", cgroup.path()));
        let policy = variant.policy().map(|policy| format!("{key}{policy}"));
        let guard = policy.map(|policy| run_policy(&stage, &policy, binary)).transpose();
        let guard = guard.with_context(|| format!("guard with `{variant}`"))?;
        Ok(Self { variant, stage, inside, guard: guard.map(|(guard, _)| guard), _cgroup: cgroup })
    }

    /// Brings about what the variant's cases take for given: debts, or flows.
    pub(super) fn prepare(&self, generators: &mut Generators<'_>) -> anyhow::Result<()> {
        match self.variant {
            Variant::Refusing => {
                self.stage.passed()?;
                for size in SIZES {
                    let generator = generators.of(Traffic::ToService, size)?;
                    for _ in 0..u64::from(size).div_ceil(SENT) {
                        run_whole(generator, self.stage.wire())?;
                    }
                }
                ensure!(self.stage.passed()? > 0, "the limit lets nothing through from the beginning");
            }
            Variant::DefaultDrop => self.open_flows(generators.of(Traffic::Opening, SOME)?, u64::from(SOME))?,
            Variant::Bans => self.ban(generators)?,
            Variant::FlowsFull => self.open_flows(generators.of(Traffic::Opening, MILLION)?, FULL)?,
            _ => {}
        }
        Ok(())
    }

    /// Bans members of the crowd that is to be banned, as an operator would.
    fn ban(&self, generators: &Generators<'_>) -> anyhow::Result<()> {
        let crowd = Traffic::ToServiceFromBanned.crowd(generators.family, BANS.next_power_of_two());
        let length = generators.family.pick(32, 64);
        let mut list = String::new();
        for number in 0..BANS {
            // Writing to a string does not fail.
            let _ = writeln!(list, "{}", IpNet::new(crowd.member(number), length)?.trunc());
        }
        let list = self.stage.host().write("banned.txt", list);
        let guard = self.guard.as_ref().context("no guard to ban anybody")?;
        let answer = guard.ask(&["block", "add", "--file", &list.to_string_lossy(), "--for", "1d"]);
        ensure!(answer.status.success(), "`guard block add` failed: {}", answer.stderr.join("\n"));
        Ok(())
    }

    /// Has packets leave that open flows, until guard knows so many.
    fn open_flows(&self, generator: &mut Generator, at_least: u64) -> anyhow::Result<()> {
        self.time_leaving(generator)?;
        let status = self.guard.as_ref().context("no guard to know flows")?.status();
        let known = status["flows"].as_u64().context("`guard status` counts no flows")?;
        ensure!(known >= at_least, "guard knows {known} flows, not {at_least}");
        Ok(())
    }

    /// Has the packets of a case sent, and fails if one is lost, or gets another verdict than it should.
    pub(super) fn time(&self, case: Case, generators: &mut Generators<'_>) -> anyhow::Result<[u64; TIMED]> {
        let generator = generators.of(case.traffic, case.size)?;
        if case.traffic.leaves() {
            self.time_leaving(generator)
        } else {
            self.stage.time(generator, if case.passes() { SENT } else { 0 })
        }
    }

    fn time_leaving(&self, generator: &mut Generator) -> anyhow::Result<[u64; TIMED]> {
        let before = self.left()?;
        let times_ns = run_whole(generator, &self.inside)?;
        wait::until(SOON, || (self.left().ok()? >= before + SENT).then_some(()));
        let left = self.left()? - before;
        ensure!(left == SENT, "{left} of {SENT} packets left");
        Ok(times_ns)
    }

    /// How many packets have come out at the far end of the guarded wire that came in by the other: they have the Ethernet
    /// address of neither end, and what the stage's kernel sends of its own accord does not.
    fn left(&self) -> anyhow::Result<u64> {
        let far_end = &self.stage.wire().left;
        let show = far_end.host().ip(&["-json", "-statistics", "-statistics", "link", "show", "dev", far_end.name()]);
        let links: Value = serde_json::from_str(&show)?;
        let received = links.pointer("/0/stats64/rx").context("`ip` shows no statistics")?;
        // Left out where it is zero.
        Ok(received["otherhost"].as_u64().unwrap_or(0))
    }
}
