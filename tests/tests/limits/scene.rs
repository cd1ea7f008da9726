//! The scene of these tests: a guarded host and a silent peer that may be anybody.

use std::{
    net::IpAddr,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use guard_tests::{
    Cell, Counters, Guard, Load, Options, Probe, Recorder, Site, Wire,
    frame::{Frame, SYN},
    load::Offer,
};

use super::measure::Passage;

pub(crate) const SOON: Duration = Duration::from_secs(10);
/// How long an answer is waited for that must not come; before a SYN is sent again.
pub(crate) const SHORTLY: Duration = Duration::from_millis(400);

/// The lists of the scene: every source that [`Scene::source`] makes.
pub(crate) const ALLOW: &str = "allow.ips = ['198.51.100.0/22', '2001:db8:51::/48']\n";

/// A guarded host with a policy, and a silent peer.
pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) guard: Guard,
}

impl Scene {
    /// Starts a guard with a policy that lets the scene's sources in.
    pub(crate) fn new(cell: Cell, config: &str) -> Self {
        let site = Site::with_silent_peer(cell);
        let guard = site.guard(&format!("{ALLOW}{config}"));
        Self { site, guard }
    }

    /// Rewrites the policy file and reloads it, which must do.
    #[track_caller]
    pub(crate) fn reload(&self, config: &str) {
        self.site.host().write("default.toml", self.site.config(&format!("{ALLOW}{config}")));
        let answer = self.guard.ask(&["reload"]);
        assert!(answer.status.success(), "{answer:?}");
    }

    /// Starts the next guard, after the end of the one before, with the policy file as it is.
    pub(crate) fn start_again(&mut self) {
        let config = self.site.host().read("default.toml");
        self.guard = Guard::run(self.site.host(), Options { config: Some(&config), ..Options::default() });
    }

    pub(crate) fn probe(&self) -> Probe<'_> {
        Probe::new(&self.site, &self.guard)
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters::read(&self.guard)
    }

    /// The source of this number, of the cell's family.
    pub(crate) fn source(&self, number: u16) -> IpAddr {
        source(self.site.cell, number)
    }

    /// A frame from the source of this number.
    pub(crate) fn from(&self, source: u16) -> Frame {
        self.site.packet(self.source(source))
    }

    /// So many datagrams of one flow.
    pub(crate) fn datagrams(&self, source: u16, port: u16, count: usize) -> Vec<Vec<u8>> {
        vec![self.from(source).udp(1234, port).build(); count]
    }

    /// So many SYNs, each of another connection.
    pub(crate) fn syns(&self, source: u16, port: u16, count: u16) -> Vec<Vec<u8>> {
        (0..count).map(|number| self.from(source).tcp(20_000 + number, port, SYN).build()).collect()
    }

    /// Offers loads for a time; returns when packets of each were sent, and when those came in that passed.
    pub(crate) fn offer(&self, offers: &[Offer<'_>], time: Duration) -> Vec<Passage> {
        let passed = Recorder::start(self.site.host(), "eth0", offers.len(), Load::of);
        let sent = Load::offer(&Wire::open(self.site.peer(), "eth0"), offers, |elapsed| elapsed >= time);
        let passed = passed.stop();
        assert_eq!(self.site.link.right.lost_frames(), 0, "the wire lost packets, so that the rest proves nothing");
        sent.into_iter().zip(passed).map(|(sent, passed)| Passage { sent, passed }).collect()
    }
}

/// The source of this number. Of IPv6, each has a /64 of its own, and 256 of them a /56.
pub(crate) fn source(cell: Cell, number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    cell.pick(IpAddr::from([198, 51, 100 + high, low]), IpAddr::from([0x2001, 0xdb8, 0x51, number, 0, 0, 0, 1]))
}

/// Held by tests that measure time, of which some may run at once.
static QUIET: RwLock<()> = RwLock::new(());

/// Keeps floods away until dropped.
pub(crate) fn quiet() -> RwLockReadGuard<'static, ()> {
    QUIET.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until nothing is measured, and keeps the machine for a flood until dropped.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    QUIET.write().unwrap_or_else(PoisonError::into_inner)
}
