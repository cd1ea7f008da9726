//! From a violation to the kernel's table, the journal and what is told.

use std::{
    fs,
    net::IpAddr,
    sync::{
        Mutex,
        mpsc::{Receiver, channel},
    },
    time::Instant,
};

use ipnet::IpNet;
use tempfile::TempDir;

use super::*;
use crate::{
    kernel::tests::{
        frames::{SERVICE_PORT, Sent},
        machine::Machine,
    },
    policy::{BanPolicy, ConnectionPolicy, Mode, Policy, Protocol, Unit},
    samples,
};

const SOURCES: [&str; 2] = ["10.1.2.3", "2001:db8:7::9"];
const TRUSTED: [&str; 2] = ["10.0.0.1", "2001:db8:7:1::1"];
const SECOND: Duration = Duration::from_secs(1);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// A service that bans for so long after two violations, one that never does, and one that is only watched.
fn policy(lasts: Duration) -> Policy {
    let ban = BanPolicy {
        after: 2.try_into().unwrap(),
        within: 60 * SECOND,
        lasts,
        factor_percent: 200,
        max: 60 * lasts,
        widen: None,
    };
    let port = |number| [samples::port(Protocol::Tcp, number)];
    let mut web = samples::service("web", &port(SERVICE_PORT), Mode::Enforce, &[]);
    web.limits =
        vec![samples::limit(Unit::Packets, 1_000_000, 999_999), samples::limit(Unit::Connections, 100_000, 99_999)];
    web.connections = ConnectionPolicy { ban: Some(ban), ..ConnectionPolicy::default() };
    let other = samples::service("other", &port(4_000), Mode::Enforce, &[]);
    let monitored = samples::service("monitored", &port(5_000), Mode::Monitor, &[]);
    let services = vec![web, other, monitored];
    let mut policy = samples::policy(&samples::prefixes(&["10.0.0.0/8", "2001:db8:7::/48"]), &[], services);
    policy.trusted = samples::entries(&TRUSTED.map(|address| ip(address).into()));
    policy
}

fn violation(source: &str, service: u8) -> Violation {
    let ago = Clock::now().boot.saturating_sub(slept());
    let version = if ip(source).is_ipv4() { 4 } else { 6 };
    Violation {
        time_ns: ago.as_nanos() as u64,
        last_ns: (ago - SECOND).as_nanos() as u64,
        generation: 1,
        handshakes: 3,
        source: Address::from(ip(source)).octets(),
        source_port: 40_000,
        destination_port: SERVICE_PORT,
        service,
        limit: 1,
        version,
        reserved: 0,
    }
}

fn charges(sources: &[&str], policy: &Policy) -> Charges {
    let (clock, slept) = (Clock::now(), slept());
    let offences = sources.iter().filter_map(|source| offence(&violation(source, 1), policy, &clock, slept)).collect();
    Charges { offences, policy: Arc::new(policy.clone()) }
}

/// An enforcer on a machine's tables, with a journal.
struct Scene {
    dir: TempDir,
    enforcer: Arc<Enforcer>,
    told: UnboundedReceiver<Told>,
    /// Ports, and of the addresses of the test those whose connections are closed.
    closed: Receiver<(BTreeSet<u16>, Vec<&'static str>)>,
}

impl Scene {
    fn new(machine: &Machine) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (bans, (tell, told), (close, closed)) = (Bans::default(), unbounded_channel(), channel());
        let (journal, broken) = Journal::restore(dir.path().join("bans.jsonl"), &bans, &Moment::now()).unwrap();
        assert_eq!(broken, Vec::<String>::new());
        let scribe = Scribe::start(journal, bans.clone());
        let close = Mutex::new(close);
        let close: Close = Box::new(move |ports, is_cut| {
            let addresses = SOURCES.into_iter().chain(TRUSTED).chain(["10.1.2.4", "2001:db8:7::ff"]);
            let cut = addresses.filter(|address| is_cut(ip(address))).collect();
            close.lock().unwrap().send((ports.clone(), cut)).unwrap();
            Ok(())
        });
        let enforcer = Enforcer::new(bans, machine.timed.clone(), Some(scribe), close, tell);
        Self { dir, enforcer: Arc::new(enforcer), told, closed }
    }

    /// Has the enforcer work while something else is done.
    fn working(&self, work: impl FnOnce(&dyn Fn(Charges))) {
        let (to, waiting) = channel();
        let enforcer = &self.enforcer;
        thread::scope(|scope| {
            scope.spawn(move || enforcer.work(&waiting));
            work(&|charges: Charges| {
                assert!(enforcer.has_room_for(charges.offences.len()));
                to.send(charges).unwrap();
            });
            drop(to);
        });
    }

    fn told(&mut self) -> Vec<(&'static str, String)> {
        let told = std::iter::from_fn(|| self.told.try_recv().ok());
        told.map(|told| (told.action.name(), told.ban.prefix.to_string())).collect()
    }

    fn journal(&self) -> String {
        self.enforcer.keep_journal().unwrap();
        fs::read_to_string(self.dir.path().join("bans.jsonl")).unwrap_or_default()
    }
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < 20 * SECOND, "{what}: it never came");
        thread::sleep(Duration::from_millis(1));
    }
    started.elapsed()
}

#[test]
fn numbers_become_words() {
    let policy = policy(60 * SECOND);
    let (clock, slept) = (Clock::now(), slept());
    let read = |violation: Violation| offence(&violation, &policy, &clock, slept);
    let found = read(violation("2001:db8:7::9", 1)).unwrap();
    assert_eq!((found.source, found.service.as_str()), (ip("2001:db8:7::9"), "web"));
    assert_eq!(found.limit, "100000 connections in 1 s, burst 99999, per source");
    assert!(found.at <= clock.boot && clock.boot - found.at < SECOND, "{:?} {clock:?}", found.at);
    let (ago, since) = (found.time.duration_since(found.last_handshake), clock.wall.duration_since(found.time));
    assert!((ago.as_millis() - 1_000).abs() < 2 && since.as_secs() == 0, "{found:?}");
    let gone = read(Violation { limit: 3, ..violation("10.1.2.3", 1) }).unwrap();
    assert_eq!(gone.limit, "a limit that is gone");
    assert_eq!(read(violation("10.1.2.3", 2)), None, "it bans nobody");
    assert_eq!(read(violation("10.1.2.3", 4)), None, "no such service any more");
    let mut monitored = policy.clone();
    monitored.services[0].mode = Mode::Monitor;
    assert_eq!(offence(&violation("10.1.2.3", 1), &monitored, &clock, slept), None, "it was made to enforce nothing");
}

#[test]
fn an_offender_is_kept_out_told_closed_and_written_down() {
    Machine::run(|machine| {
        let policy = policy(3_600 * SECOND);
        machine.install(policy.clone());
        let mut scene = Scene::new(machine);
        let all: Vec<&str> = SOURCES.into_iter().chain(TRUSTED).collect();
        scene.working(|to| {
            to(charges(&all, &policy));
            assert!(all.iter().all(|source| machine.passes(ip(source))), "once is not enough");
            let took = Instant::now();
            to(charges(&all, &policy));
            wait_for("a ban", || SOURCES.iter().all(|source| !machine.passes(ip(source))));
            println!("banned after {:?}", took.elapsed());
        });
        assert!(TRUSTED.iter().all(|source| machine.passes(ip(source))));
        assert!(SOURCES.iter().all(|source| machine.lets_in(Sent::SynTo(22), ip(source))), "failsafe");
        let banned = ["10.1.2.3/32", "2001:db8:7::/64"];
        assert_eq!(scene.told(), banned.map(|prefix| ("banned", prefix.to_owned())));
        let cut = vec!["10.1.2.3", "2001:db8:7::9", "2001:db8:7::ff"];
        assert_eq!(scene.closed.try_recv().unwrap(), (BTreeSet::from([SERVICE_PORT, 4_000]), cut));
        assert_eq!(scene.journal().lines().count(), 2);

        // Somebody else has no ban to lift.
        scene.enforcer.lift(&[net("10.9.9.9/32")]).unwrap();
        assert_eq!(scene.told(), []);
        scene.enforcer.lift(&banned.map(net)).unwrap();
        assert!(SOURCES.iter().all(|source| machine.passes(ip(source))));
        assert_eq!(scene.told(), banned.map(|prefix| ("lifted", prefix.to_owned())));
        assert_eq!(machine.timed.counts(), (0, 0, 0));
        let again = Bans::default();
        scene.journal();
        Journal::restore(scene.dir.path().join("bans.jsonl"), &again, &Moment::now()).unwrap();
        assert_eq!((again.in_force(Duration::ZERO).len(), again.remembered()), (0, 0));
    });
}

#[test]
fn what_ends_is_told_and_swept() {
    Machine::run(|machine| {
        let policy = policy(SECOND);
        machine.install(policy.clone());
        let mut scene = Scene::new(machine);
        scene.working(|to| {
            to(charges(&[SOURCES[0], SOURCES[0]], &policy));
            wait_for("a ban", || !machine.passes(ip(SOURCES[0])));
            wait_for("its end", || machine.passes(ip(SOURCES[0])));
            let late = wait_for("the sweep", || machine.timed.counts() == (0, 0, 0));
            assert!(late < 2 * SECOND, "{late:?}");
        });
        assert_eq!(scene.told(), [("banned", "10.1.2.3/32".to_owned()), ("ended", "10.1.2.3/32".to_owned())]);
    });
}

#[test]
fn what_finds_no_room_is_tried_again() {
    Machine::run(|machine| {
        let policy = policy(3_600 * SECOND);
        machine.install(policy.clone());
        let scene = Scene::new(machine);
        let others: Vec<(IpNet, Duration)> = (0..guard_common::timed::BANS_MAX as u32)
            .map(|nth| (IpAddr::from((0xac10_0000 + nth).to_be_bytes()).into(), Clock::now().boot + 600 * SECOND))
            .collect();
        machine.timed.ban(&others, &Clock::now()).unwrap();
        scene.working(|to| {
            to(charges(&[SOURCES[0], SOURCES[0]], &policy));
            wait_for("a ban", || scene.enforcer.unenforced().len() == 1);
            assert!(machine.passes(ip(SOURCES[0])));
            machine.timed.unban(&[others[0].0], &Clock::now()).unwrap();
            wait_for("room", || !machine.passes(ip(SOURCES[0])) && scene.enforcer.unenforced().is_empty());
        });
    });
}

#[test]
fn connections_of_many_are_closed_at_once() {
    Machine::run(|machine| {
        let policy = policy(3_600 * SECOND);
        machine.install(policy.clone());
        let mut scene = Scene::new(machine);
        let (to, waiting) = channel();
        for source in SOURCES {
            to.send(charges(&[source, source], &policy)).unwrap();
        }
        drop(to);
        scene.enforcer.work(&waiting);
        assert_eq!((scene.told().len(), scene.closed.try_iter().count()), (2, 1));
    });
}

#[test]
fn only_so_many_offences_wait() {
    Machine::run(|machine| {
        let scene = Scene::new(machine);
        let policy = policy(SECOND);
        let room = |offences| scene.enforcer.has_room_for(offences);
        assert_eq!((room(65_534), room(3), room(2), room(1), room(0)), (true, false, true, false, true));
        let (to, waiting) = channel();
        to.send(charges(&SOURCES, &policy)).unwrap();
        drop(to);
        scene.enforcer.work(&waiting);
        assert_eq!((room(3), room(2)), (false, true), "those that were judged wait no more");
    });
}
