//! Where one contender stands: a host of its own, one wire that the packets come in by, and behind every filter a drain that counts
//! them.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use guard_tests::{Family, Host, Link, process::Process, wait};

use super::{
    LIMIT,
    generator::{Generator, SENT, TIMED},
    pattern::own_address,
};

/// The interface that the packets come in by.
pub(super) const INTERFACE: &str = "eth0";
/// How long frames may take from the end of a run until they are counted.
pub(super) const SOON: Duration = Duration::from_secs(5);

/// Ends every packet at the first point that lies behind the hooks of all contenders, without an answer. Its counter is exact.
const DRAIN: &str = "\
table inet drain {
  counter passed { }
  chain prerouting {
    type filter hook prerouting priority 300; policy accept;
    counter name passed drop
  }
}
";

/// A contender's place.
pub(super) struct Stage {
    host: Host,
    link: Link,
}

impl Stage {
    /// Makes a place at the end of a wire from the generator's host, where its interface has the name.
    pub(super) fn new(generator: &Host, wire: &str) -> anyhow::Result<Self> {
        let host = Host::new("stage");
        let link = Link::between(generator, wire, &host, INTERFACE);
        let with_length = |(family, length)| format!("{}/{length}", own_address(family));
        link.right.add_addresses([(Family::V4, 24), (Family::V6, 64)].map(with_length));
        let stage = Self { host, link };
        stage.poll(INTERFACE)?;
        stage.load_rules("drain.nft", DRAIN)?;
        Ok(stage)
    }

    /// Has an interface's driver poll, as it must to take frames that XDP sends, also where no XDP program is attached.
    pub(super) fn poll(&self, interface: &str) -> anyhow::Result<()> {
        self.run("ethtool", &["-K", interface, "gro", "on"]).map(drop)
    }

    /// Loads rules of nft, by way of a file.
    pub(super) fn load_rules(&self, file: &str, rules: impl AsRef<[u8]>) -> anyhow::Result<()> {
        let file = self.host.write(file, rules);
        self.run("nft", &["-f", &file.to_string_lossy()]).map(drop)
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// Runs a program on the host to its end and returns its standard output.
    pub(super) fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.host.command(program);
        command.args(arguments);
        let finished = Process::finish(command, LIMIT);
        ensure!(
            finished.status.success(),
            "`{program} {}` failed: {}",
            arguments.join(" "),
            finished.stderr.join("\n")
        );
        Ok(finished.stdout.join("\n"))
    }

    /// The wire that the packets come in by, from left to right.
    pub(super) fn wire(&self) -> &Link {
        &self.link
    }

    /// Has a generator send to the contender, and fails if a frame is lost, or if not exactly so many come through. Returns
    /// the times of [`Generator::run`].
    pub(super) fn time(&self, generator: &mut Generator, passing: u64) -> anyhow::Result<[u64; TIMED]> {
        self.passed()?;
        let times_ns = run_whole(generator, &self.link)?;
        let passed = self.passed()?;
        ensure!(passed == passing, "{passed} of {SENT} packets came through, not {passing}");
        Ok(times_ns)
    }

    /// How many packets have come through the contender since this was last asked.
    pub(super) fn passed(&self) -> anyhow::Result<u64> {
        // To list the counter nft would first fetch all sets.
        let counter = self.run("nft", &["reset", "counter", "inet", "drain", "passed"])?;
        let mut words = counter.split_whitespace().skip_while(|word| *word != "packets").skip(1);
        let packets = words.next().with_context(|| format!("no count of packets in `{counter}`"))?;
        packets.parse().with_context(|| format!("`{packets}` packets"))
    }
}

/// Has a generator send through a wire, and fails if a frame is lost there, whatever becomes of it afterwards.
pub(super) fn run_whole(generator: &mut Generator, wire: &Link) -> anyhow::Result<[u64; TIMED]> {
    let received = wire.right.received_frames();
    let times_ns = generator.run(Some(wire))?;
    wait::until(SOON, || (wire.right.received_frames() >= received + SENT).then_some(()));
    let arrived = wire.right.received_frames() - received;
    ensure!(arrived == SENT, "{arrived} of {SENT} packets arrived");
    Ok(times_ns)
}
