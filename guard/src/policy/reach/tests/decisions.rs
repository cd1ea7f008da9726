//! The same policy asked by the engine that the kernel program runs: both let in the same sources.

use guard_common::{
    address::Address,
    limits::Limits,
    packet::{Packet, protocol, tcp_flag},
    policy::{Ban, Facts, Reason, Set, Target, Verdict, decide},
    timed::ANY_SERVICE,
};
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

/// What the engine asks, answered out of lists.
struct Lists<'a> {
    policy: &'a Policy,
    timed: &'a [Timed],
}

impl Lists<'_> {
    fn hold(&self, packet: &Packet, effect: impl Fn(&Effect) -> bool) -> bool {
        let source = packet.source.to_ip(packet.version);
        self.timed.iter().any(|timed| timed.ends > NOW && timed.prefix.contains(&source) && effect(&timed.effect))
    }

    fn service(&self, number: u8) -> &Service {
        let mut services = self.policy.services.iter();
        services.find(|service| service.number == number).expect("the engine names only services that there are")
    }
}

impl Facts for Lists<'_> {
    fn target(&self, tcp: bool, number: u16) -> Target {
        let port = Port { protocol: if tcp { Protocol::Tcp } else { Protocol::Udp }, number };
        match self.policy.services.iter().find(|service| service.ports.contains(&port)) {
            Some(service) => Target::Service(service.number),
            None if self.policy.failsafe_ports.contains(&port) => Target::Failsafe,
            None => Target::Unnamed,
        }
    }

    fn passes_by_default(&self) -> bool {
        self.policy.default == DefaultVerdict::Pass
    }

    fn contains(&self, set: Set, packet: &Packet) -> bool {
        let list = match set {
            Set::Deny => &self.policy.deny,
            Set::Allow => &self.policy.allow,
            Set::Service(number) => &self.service(number).allow,
            Set::AnyService | Set::Trusted => panic!("{set:?} is nothing to a packet with ports and no limits"),
        };
        let source = packet.source.to_ip(packet.version);
        list.prefixes().any(|prefix| prefix.contains(&source))
    }

    fn ban(&self, packet: &Packet) -> Ban {
        if self.hold(packet, |effect| *effect == Effect::Ban) { Ban::ByHand } else { Ban::None }
    }

    fn is_granted(&self, number: u8, packet: &Packet) -> bool {
        assert_ne!(number, ANY_SERVICE, "the packet has ports");
        let lets_in = |effect: &Effect| match effect {
            Effect::Grant { services } => {
                services.is_empty() || number != 0 && services.contains(&self.service(number).name)
            }
            Effect::Ban => false,
        };
        self.policy.grants_hold && self.hold(packet, lets_in)
    }

    fn is_own_address(&self, _: Address) -> bool {
        false
    }

    fn is_answer(&self, _: &Packet) -> bool {
        false
    }

    fn has_limits(&self, _: Limits) -> bool {
        false
    }

    fn refused_by(&self, _: Limits, _: &Packet) -> Option<Reason> {
        None
    }

    fn take_for_answer(&self, _: &mut Packet) -> bool {
        false
    }
}

/// Addresses near each other, so that prefixes cover some of them.
fn addresses() -> impl Strategy<Value = IpAddr> {
    let v4 = (0..8_u8).prop_map(|last| IpAddr::from([192, 0, 2, last]));
    let v6 = (0..8_u16).prop_map(|last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]));
    prop_oneof![v4, v6]
}

fn networks() -> impl Strategy<Value = IpNet> {
    (addresses(), 0..4_u8).prop_map(|(address, wider)| {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, bits - wider).expect("no prefix is longer than its family's").trunc()
    })
}

fn modes() -> impl Strategy<Value = Mode> {
    select(vec![Mode::Enforce, Mode::Enforce, Mode::Monitor])
}

fn ports() -> impl Strategy<Value = Port> {
    let protocols = select(vec![Protocol::Tcp, Protocol::Udp]);
    (protocols, select(vec![22, 53, 3000, 9])).prop_map(|(protocol, number)| Port { protocol, number })
}

fn policies() -> impl Strategy<Value = Policy> {
    let lists = || vec(networks(), 0..3);
    let defaults = select(vec![DefaultVerdict::Pass, DefaultVerdict::Drop]);
    (lists(), lists(), lists(), lists(), modes(), (modes(), defaults, any::<bool>())).prop_map(
        |(allow, deny, web, dns, own_mode, (mode, default, grants_hold))| {
            let services = vec![
                service("web", &[port(Protocol::Tcp, 3000), port(Protocol::Tcp, 53)], mode, &web),
                service("dns", &[port(Protocol::Udp, 53)], own_mode, &dns),
            ];
            Policy { mode, default, grants_hold, ..samples::policy(&allow, &deny, services) }
        },
    )
}

fn effects() -> impl Strategy<Value = Effect> {
    let services = select(vec![vec![], vec!["web"], vec!["dns"], vec!["web", "dns"]]);
    let grant = services.prop_map(|names| Effect::Grant { services: names.into_iter().map(str::to_owned).collect() });
    prop_oneof![1 => Just(Effect::Ban), 3 => grant]
}

fn timeds() -> impl Strategy<Value = Vec<Timed>> {
    let ends = select(vec![999, 1_000, 1_001]);
    let one = (effects(), networks(), ends).prop_map(|(effect, net, ends)| timed(effect, &net.to_string(), ends));
    vec(one, 0..4)
}

proptest! {
    #[test]
    fn the_engine_judges_the_same(policy in policies(), timed in timeds(), source in addresses(), port in ports()) {
        let tcp = port.protocol == Protocol::Tcp;
        let packet = Packet {
            source: source.into(),
            destination: if source.is_ipv4() { IpAddr::from([192, 0, 2, 99]) } else { IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 99]) }.into(),
            version: if source.is_ipv4() { 4 } else { 6 },
            protocol: if tcp { protocol::TCP } else { protocol::UDP },
            tcp_flags: if tcp { tcp_flag::SYN } else { 0 },
            source_port: 40_000,
            destination_port: port.number,
            length: 60,
            hop_limit: 64,
            ..Packet::default()
        };
        let lists = Lists { policy: &policy, timed: &timed };
        let decision = decide(&packet, &mut Packet::default(), &lists);
        let mode = if decision.service == 0 { policy.mode } else { lists.service(decision.service).mode };
        let passes = decision.reason.verdict() == Verdict::Pass || mode == Mode::Monitor;
        let judgement = Reach { policy: &policy, timed: &timed, now: NOW }.judge(source, port);
        prop_assert_eq!(judgement == Judgement::Passes, passes, "{:?}", decision);
        let expected = match judgement {
            Judgement::Passes => return Ok(()),
            Judgement::Drops(Hindrance::Blocked { .. }) => Reason::Blocked,
            Judgement::Drops(Hindrance::Banned { .. }) => Reason::Banned,
            Judgement::Drops(Hindrance::NotAllowed { .. }) => Reason::NotAllowed,
        };
        prop_assert_eq!(decision.reason, expected);
    }
}
