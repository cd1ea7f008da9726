//! Where one contender stands: a host of its own, one wire that the packets come in by, and behind every filter a drain that counts
//! them.

use std::net::IpAddr;

use anyhow::{Context as _, ensure};
use guard_tests::{
    Family, Host, Link,
    frame::{ACK, Frame, Mac},
    process::Process,
};

use super::LIMIT;

/// The interface that the packets come in by.
pub(super) const INTERFACE: &str = "eth0";
/// The port that the packets go to.
pub(super) const PORT: u16 = 3000;
const CLIENT_PORT: u16 = 50_000;
/// From the range for benchmarks (RFC 2544), and from the one for documentation.
const ADDRESSES: [&str; 2] = ["198.18.0.1", "2001:db8::1"];
/// The shortest frame on Ethernet, without its check sequence.
const SHORTEST_FRAME: usize = 60;

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
        link.right.add_addresses([format!("{}/24", ADDRESSES[0]), format!("{}/64", ADDRESSES[1])]);
        let stage = Self { host, link };
        // With it the driver polls, as it must to take frames that XDP sends, also where no XDP program is attached.
        stage.run("ethtool", &["-K", INTERFACE, "gro", "on"])?;
        let drain = stage.host.write("drain.nft", DRAIN);
        stage.run("nft", &["-f", &drain.to_string_lossy()])?;
        Ok(stage)
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

    /// The index of the wire's end at the generator.
    pub(super) fn interface(&self) -> u32 {
        self.link.left.index()
    }

    /// How many frames have come out of the wire, whatever became of them.
    pub(super) fn received(&self) -> u64 {
        self.link.right.received_frames()
    }

    /// How many packets have come through the contender since this was last asked.
    pub(super) fn passed(&self) -> anyhow::Result<u64> {
        // To list the counter nft would first fetch all sets.
        let counter = self.run("nft", &["reset", "counter", "inet", "drain", "passed"])?;
        let mut words = counter.split_whitespace().skip_while(|word| *word != "packets").skip(1);
        let packets = words.next().with_context(|| format!("no count of packets in `{counter}`"))?;
        packets.parse().with_context(|| format!("`{packets}` packets"))
    }

    /// The frame whose source the generator replaces.
    pub(super) fn frame(&self, family: Family) -> Vec<u8> {
        frame(unspecified(family), self.link.left.mac(), self.link.right.mac())
    }
}

/// A packet to the service: within an open connection, so without SYN, and without data.
pub(super) fn frame(source: IpAddr, sender: Mac, receiver: Mac) -> Vec<u8> {
    let destination = ADDRESSES[usize::from(source.is_ipv6())].parse().expect("the addresses above are such");
    let frame = Frame::ethernet(sender, receiver).ip(source, destination).tcp(CLIENT_PORT, PORT, ACK);
    let mut bytes = frame.build();
    bytes.resize(bytes.len().max(SHORTEST_FRAME), 0);
    bytes
}

pub(super) fn unspecified(family: Family) -> IpAddr {
    family.pick([0; 4].into(), [0; 16].into())
}
