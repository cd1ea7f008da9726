//! Policies around lists, and lists written as text.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use ipnet::IpNet;

use crate::policy::{
    BanPolicy, ConnectionPolicy, DefaultVerdict, Entries, Interfaces, Limit, LogPolicy, Mode, Origin, Per, Policy,
    Port, Protocol, Readers, Service, Unit, XdpMode,
};

/// Returns a policy that drops what it does not name; port 22 is failsafe, and services are numbered from 1.
pub(crate) fn policy(allow: &[IpNet], deny: &[IpNet], services: Vec<Service>) -> Policy {
    Policy {
        interfaces: Interfaces::Physical,
        xdp_mode: XdpMode::Auto,
        mode: Mode::Enforce,
        default: DefaultVerdict::Drop,
        failsafe_ports: vec![port(Protocol::Tcp, 22)],
        echo_rate: None,
        shared_addresses: Vec::new(),
        allow: entries(allow),
        deny: entries(deny),
        trusted: Entries::default(),
        services: (1..).zip(services).map(|(number, service)| Service { number, ..service }).collect(),
        log: LogPolicy { eve: None, stdout: true },
        control_readers: Readers::Group,
        cgroup: "/sys/fs/cgroup".into(),
        grants_hold: true,
    }
}

pub(crate) fn service(name: &str, ports: &[Port], mode: Mode, allow: &[IpNet]) -> Service {
    Service {
        number: 1,
        name: name.to_owned(),
        ports: ports.to_vec(),
        mode,
        allow: entries(allow),
        limits: Vec::new(),
        connections: ConnectionPolicy::default(),
    }
}

/// Returns a limit of so many units a second, per source.
pub(crate) fn limit(unit: Unit, limit: u64, burst: u64) -> Limit {
    let limit = NonZeroU64::new(limit).expect("a test names no limit of nothing");
    Limit { unit, limit, window: Duration::from_secs(1), burst, per: Per::SOURCE }
}

/// Returns what bans for a second after one violation.
pub(crate) fn ban() -> BanPolicy {
    let second = Duration::from_secs(1);
    let after = NonZeroU32::MIN;
    BanPolicy { after, within: second, lasts: second, factor_percent: 100, max: second, widen: None }
}

pub(crate) fn prefixes(list: &[&str]) -> Vec<IpNet> {
    list.iter().map(|prefix| prefix.parse().expect("a test names good prefixes")).collect()
}

pub(crate) fn port(protocol: Protocol, number: u16) -> Port {
    Port { protocol, number }
}

pub(crate) fn entries(list: &[IpNet]) -> Entries {
    let origin = Origin::Variable { name: "ALLOWED_IPS".into(), item: None };
    let mut entries = Entries::default();
    list.iter().for_each(|prefix| entries.push(*prefix, &origin, None));
    entries
}
