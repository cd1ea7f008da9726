//! The scene of these tests: a guarded host whose policy file is rewritten, and a silent peer that may be anybody.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use guard_tests::{Cell, Counters, Family, Guard, Probe, Site, Wire, process::Finished, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

pub(crate) const SOON: Duration = Duration::from_secs(15);

/// A cell for what no cell makes a difference to.
pub(crate) const ANY_CELL: Cell = Cell { family: Family::V4, xdp_mode: "native" };

pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) guard: Guard,
}

impl Scene {
    /// Starts a guard with a policy, whose interface and XDP mode the cell says.
    pub(crate) fn new(cell: Cell, config: &str) -> Self {
        let site = Site::with_silent_peer(cell);
        let guard = site.guard(config);
        Self { site, guard }
    }

    /// Rewrites the policy file.
    pub(crate) fn write(&self, config: &str) {
        self.write_whole(&self.site.config(config));
    }

    pub(crate) fn write_whole(&self, config: &str) -> PathBuf {
        self.site.host().write("default.toml", config)
    }

    /// Rewrites the policy file and reloads it, which must do; returns what guard says.
    #[track_caller]
    pub(crate) fn reload(&self, config: &str) -> String {
        self.write(config);
        let answer = self.guard.ask(&["reload"]);
        assert!(answer.status.success(), "{answer:?}");
        answer.stdout.join("\n")
    }

    /// Rewrites the policy file and sends SIGHUP; returns once the log says that it is in force.
    pub(crate) fn hang_up(&mut self, config: &str) {
        self.write(config);
        let reloaded = || self.guard.log().iter().filter(|line| line.contains("reloaded: ")).count();
        let before = reloaded();
        self.guard.signal(Signal::SIGHUP);
        wait::eventually("a reload is logged", SOON, || {
            let log = self.guard.log();
            log.iter().filter(|line| line.contains("reloaded: ")).count() > before
        });
    }

    /// Rewrites the policy file and reloads it, which must be refused; returns the answer.
    #[track_caller]
    pub(crate) fn refused(&self, config: &str, code: i32) -> Finished {
        self.write(config);
        let generation = self.generation();
        let answer = self.guard.ask(&["reload"]);
        assert_eq!(answer.code(), Some(code), "{answer:?}");
        assert_eq!(self.generation(), generation, "{answer:?}");
        answer
    }

    pub(crate) fn generation(&self) -> u64 {
        self.guard.status()["generation"].as_u64().expect("a generation is a number")
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters::read(&self.guard)
    }

    /// The packets that were dropped, whatever for.
    pub(crate) fn dropped(&self) -> u64 {
        self.counters().with_verdict("drop").values().sum()
    }

    /// Sends packets of unlisted sources to a port, and waits until as many more are dropped.
    pub(crate) fn knock(&self, port: u16, sources: impl IntoIterator<Item = u8>) {
        let frames: Vec<_> = sources.into_iter().map(|source| self.datagram(source, port)).collect();
        let expected = self.dropped() + frames.len() as u64;
        Wire::open(self.site.peer(), "eth0").send_all(&frames);
        wait::eventually("every packet is dropped", SOON, || self.dropped() == expected);
    }

    pub(crate) fn probe(&self) -> Probe<'_> {
        Probe::new(&self.site, &self.guard)
    }

    /// A datagram from the source of this number.
    pub(crate) fn datagram(&self, source: u8, port: u16) -> Vec<u8> {
        self.site.packet(self.source(source)).udp(1234, port).build()
    }

    pub(crate) fn source(&self, number: u8) -> IpAddr {
        let text = self.site.cell.pick(v4(number), v6(number));
        text.parse().expect("an address")
    }
}

/// A list of the sources of these numbers, of both families, as the policy file has it.
pub(crate) fn list(numbers: impl IntoIterator<Item = u8>) -> String {
    let pair = |number| format!("\"{}\", \"{}\"", v4(number), v6(number));
    format!("[{}]", numbers.into_iter().map(pair).collect::<Vec<_>>().join(", "))
}

/// A list of IPv4 sources.
pub(crate) fn list_v4(numbers: impl IntoIterator<Item = u8>) -> String {
    let quoted = |number| format!("\"{}\"", v4(number));
    format!("[{}]", numbers.into_iter().map(quoted).collect::<Vec<_>>().join(", "))
}

fn v4(number: u8) -> String {
    format!("198.51.100.{number}")
}

fn v6(number: u8) -> String {
    format!("2001:db8:51::{number:x}")
}

/// A list file of so many IPv4 addresses, in 10.0.0.0/8, that to read and compile it takes long.
pub(crate) fn long_list() -> String {
    let quoted = |number: u32| format!("\"10.{}.{}.{}\"", number >> 16, number >> 8 & 255, number & 255);
    format!("[{}]", (0..100_000).map(quoted).collect::<Vec<_>>().join(","))
}

/// The texts of a list in a status.
pub(crate) fn texts(list: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    list.as_array().unwrap_or_else(|| panic!("`{list}` is no list")).iter().map(text).collect()
}
