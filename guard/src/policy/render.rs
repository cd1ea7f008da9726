//! The policy as people read it: what `guard check` prints.

use std::fmt::{self, Display, Write};

use crate::clock::Clock;

use super::{Effect, Entries, LogPolicy, Policy, Service, Timed, Word};

impl Policy {
    /// Writes the whole policy and what holds for a time beside it, each entry with where it came from, and the warnings that
    /// came with it.
    ///
    /// Nothing is shortened: the listing is made to be searched.
    pub(crate) fn render(&self, timed: &[Timed], clock: &Clock, warnings: &[impl Display]) -> String {
        let mut out = String::new();
        self.write(&mut out, timed, clock, warnings).expect("writing to a string cannot fail");
        out
    }

    fn write(&self, out: &mut impl Write, timed: &[Timed], clock: &Clock, warnings: &[impl Display]) -> fmt::Result {
        writeln!(out, "interfaces: {}", list(self.interfaces.as_written()))?;
        writeln!(out, "xdp mode: {}", self.xdp_mode.word())?;
        writeln!(out, "mode: {}", self.mode.word())?;
        writeln!(out, "default: {}", self.default.word())?;
        writeln!(out, "failsafe ports: {}", list(&self.failsafe_ports))?;
        writeln!(out, "echo rate: {}", list(self.echo_rate))?;
        writeln!(out, "shared addresses: {}", list(&self.shared_addresses))?;
        writeln!(out, "block log: {}", log(&self.log))?;
        writeln!(out, "control readers: {}", self.control_readers.word())?;
        if self.tracks_connections() {
            writeln!(out, "cgroup: {}", self.cgroup.display())?;
        }
        section(out, "allow", &self.allow)?;
        section(out, "deny", &self.deny)?;
        section(out, "trusted", &self.trusted)?;
        for Service { name, ports, mode, allow, limits, connections, .. } in &self.services {
            section(out, &format!("service {name}, {}, {}, allow", list(ports), mode.word()), allow)?;
            heading(out, &format!("service {name}, limits"), limits.len())?;
            limits.iter().try_for_each(|limit| writeln!(out, "  {limit}"))?;
            if connections.is_tracked() {
                writeln!(out, "\nservice {name}, connections: {connections}")?;
            }
        }
        let (bans, grants): (Vec<&Timed>, Vec<&Timed>) = timed.iter().partition(|timed| timed.effect == Effect::Ban);
        expiring(out, "granted for a time", &grants, clock)?;
        expiring(out, "banned for a time", &bans, clock)?;
        if !warnings.is_empty() {
            writeln!(out, "\nwarnings ({}):", warnings.len())?;
        }
        warnings.iter().try_for_each(|warning| writeln!(out, "  {warning}"))
    }
}

fn section(out: &mut impl Write, title: &str, entries: &Entries) -> fmt::Result {
    heading(out, title, entries.len())?;
    let width = entries.prefixes().map(|prefix| prefix.to_string().len()).max().unwrap_or(0);
    for entry in entries.iter() {
        write!(out, "  {:width$}  {}", entry.prefix.to_string(), entry.origin)?;
        if let Some(comment) = entry.comment {
            write!(out, "  # {}", comment.escape_debug())?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn expiring(out: &mut impl Write, title: &str, entries: &[&Timed], clock: &Clock) -> fmt::Result {
    heading(out, title, entries.len())?;
    let width = entries.iter().map(|timed| timed.prefix.to_string().len()).max().unwrap_or(0);
    for timed in entries {
        let Timed { effect, prefix, ends, origin, comment } = timed;
        write!(out, "  {:width$}  until {:.0}", prefix.to_string(), clock.wall_at(*ends))?;
        if let Effect::Grant { services } = effect
            && !services.is_empty()
        {
            write!(out, ", service {}", services.join(", "))?;
        }
        write!(out, "  {origin}")?;
        comment.iter().try_for_each(|comment| write!(out, "  # {}", comment.escape_debug()))?;
        writeln!(out)?;
    }
    Ok(())
}

fn heading(out: &mut impl Write, title: &str, count: usize) -> fmt::Result {
    writeln!(out, "\n{title} ({count}):{}", if count == 0 { " none" } else { "" })
}

fn log(log: &LogPolicy) -> String {
    let file = log.eve.iter().map(|path| path.display().to_string());
    list(file.chain(log.stdout.then(|| "standard output".to_owned())))
}

fn list(items: impl IntoIterator<Item = impl Display>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::num::{NonZeroU32, NonZeroU64};
    use std::path::Path;
    use std::time::Duration;

    use crate::policy::{
        BanPolicy, ConnectionPolicy, DefaultVerdict, Entry, Interfaces, Limit, Mode, Origin, Per, Port, Protocol,
        Readers, Unit, XdpMode,
    };

    use super::*;

    fn sample() -> Policy {
        let port = |protocol, number| Port { protocol, number };
        let line = |line| Origin::Line { path: Path::new("guard.toml").into(), line };
        let limit = |unit, limit, burst, per| {
            Limit::new(unit, NonZeroU64::new(limit).unwrap(), Duration::from_mins(1), burst, per).unwrap()
        };
        let entry = |prefix: &str, origin, comment: Option<&'static str>| Entry {
            prefix: prefix.parse().unwrap(),
            origin,
            comment,
        };
        Policy {
            interfaces: Interfaces::Named(vec!["eth0".to_owned(), "eth1".to_owned()]),
            xdp_mode: XdpMode::Auto,
            mode: Mode::Enforce,
            default: DefaultVerdict::Pass,
            failsafe_ports: vec![port(Protocol::Tcp, 22)],
            echo_rate: Some(limit(Unit::Packets, 10, 20, Per::Service)),
            shared_addresses: vec![IpAddr::from([192, 0, 2, 1])],
            allow: Entries::from_iter([
                entry("10.0.0.0/8", Origin::Variable { name: "ALLOWED_IPS".into(), item: Some(1) }, None),
                entry("192.168.1.5/32", line(3), Some("office\nprinter")),
            ]),
            deny: Entries::default(),
            trusted: Entries::from_iter([entry("10.0.0.1/32", line(5), None)]),
            services: vec![Service {
                number: 1,
                name: "web".to_owned(),
                ports: vec![port(Protocol::Tcp, 3000), port(Protocol::Udp, 3000)],
                mode: Mode::Monitor,
                allow: Entries::from_iter([entry("2001:db8::/48", line(9), None)]),
                limits: vec![
                    limit(Unit::Connections, 100, 99, Per::SOURCE),
                    limit(Unit::Bytes, 65_536, 65_535, Per::Prefix { v4: 24, v6: 56 }),
                ],
                connections: ConnectionPolicy {
                    max: NonZeroU32::new(100),
                    max_per_source: NonZeroU32::new(20),
                    idle_timeout: Some(Duration::from_mins(5)),
                    ban: Some(BanPolicy {
                        after: NonZeroU32::new(5).unwrap(),
                        within: Duration::from_mins(1),
                        lasts: Duration::from_mins(15),
                        factor_percent: 250,
                        max: Duration::from_hours(24),
                        widen: NonZeroU32::new(8),
                    }),
                },
            }],
            log: LogPolicy { eve: Some("/var/log/guard/eve.json".into()), stdout: true },
            control_readers: Readers::Everyone,
            cgroup: "/sys/fs/cgroup".into(),
            grants_hold: true,
        }
    }

    fn clock() -> Clock {
        Clock { wall: "2026-11-22T08:00:00Z".parse().unwrap(), boot: Duration::from_secs(1000) }
    }

    fn timed() -> Vec<Timed> {
        let timed = |effect, prefix: &str, ends, index, comment: Option<&str>| Timed {
            effect,
            prefix: prefix.parse().unwrap(),
            ends: Duration::from_secs(ends),
            origin: Origin::Element { path: Path::new("entries.json").into(), index },
            comment: comment.map(str::to_owned),
        };
        let grant =
            |services: &[&str]| Effect::Grant { services: services.iter().map(|&name| name.to_owned()).collect() };
        vec![
            timed(grant(&[]), "192.0.2.7/32", 4600, 0, Some("visitor\n")),
            timed(Effect::Ban, "2001:db8:bad::/48", 1060, 1, None),
            timed(grant(&["web", "db"]), "192.0.2.0/24", 87400, 2, None),
        ]
    }

    #[test]
    fn lists_every_entry_with_its_origin() {
        let expected = "\
interfaces: eth0, eth1
xdp mode: auto
mode: enforce
default: pass
failsafe ports: tcp/22
echo rate: 10 packets in 60 s, burst 20, in all
shared addresses: 192.0.2.1
block log: /var/log/guard/eve.json, standard output
control readers: everyone
cgroup: /sys/fs/cgroup

allow (2):
  10.0.0.0/8      environment variable ALLOWED_IPS item 1
  192.168.1.5/32  guard.toml:3  # office\\nprinter

deny (0): none

trusted (1):
  10.0.0.1/32  guard.toml:5

service web, tcp/3000, udp/3000, monitor, allow (1):
  2001:db8::/48  guard.toml:9

service web, limits (2):
  100 connections in 60 s, burst 99, per source
  65536 bytes in 60 s, burst 65535, per IPv4 /24 and IPv6 /56

service web, connections: at most 100 in all, at most 20 per source, closed when idle for 5 min, bans after 5 violations in \
60 s for 15 min, x2.5 up to 1 d, wider from 8 offenders on

granted for a time (2):
  192.0.2.7/32  until 2026-11-22T09:00:00Z  entries.json[0]  # visitor\\n
  192.0.2.0/24  until 2026-11-23T08:00:00Z, service web, db  entries.json[2]

banned for a time (1):
  2001:db8:bad::/48  until 2026-11-22T08:01:00Z  entries.json[1]

warnings (1):
  something odd
";
        assert_eq!(sample().render(&timed(), &clock(), &["something odd"]), expected);
    }

    #[test]
    fn what_holds_for_a_time_is_serialised_with_its_end() {
        let printed: Vec<_> =
            timed().iter().map(|timed| serde_json::to_value(timed.expiring(&clock())).unwrap()).collect();
        let origin = |index: u32| format!("entries.json[{index}]");
        let expected = serde_json::json!([
            { "effect": "grant", "prefix": "192.0.2.7/32", "expires": "2026-11-22T09:00:00Z", "origin": origin(0), "comment": "visitor\n" },
            { "effect": "ban", "prefix": "2001:db8:bad::/48", "expires": "2026-11-22T08:01:00Z", "origin": origin(1) },
            {
                "effect": "grant",
                "prefix": "192.0.2.0/24",
                "services": ["web", "db"],
                "expires": "2026-11-23T08:00:00Z",
                "origin": origin(2),
            },
        ]);
        assert_eq!(serde_json::Value::Array(printed), expected);
    }

    #[test]
    fn long_lists_are_printed_whole() {
        let mut policy = sample();
        let first = policy.allow.iter().next().unwrap();
        policy.allow = std::iter::repeat_n(first, 1000).collect();
        assert_eq!(policy.render(&[], &clock(), &[] as &[&str]).matches("  10.0.0.0/8  ").count(), 1000);
    }

    #[test]
    fn serialises_in_the_words_of_the_configuration() {
        let expected = serde_json::json!({
            "interfaces": ["eth0", "eth1"],
            "xdp_mode": "auto",
            "mode": "enforce",
            "default": "pass",
            "failsafe_ports": ["tcp/22"],
            "echo_rate": { "unit": "packets", "limit": 10, "window_ms": 60_000, "burst": 20, "per": "service" },
            "shared_addresses": ["192.0.2.1"],
            "allow": [
                { "prefix": "10.0.0.0/8", "origin": "environment variable ALLOWED_IPS item 1" },
                { "prefix": "192.168.1.5/32", "origin": "guard.toml:3", "comment": "office\nprinter" },
            ],
            "deny": [],
            "trusted": [{ "prefix": "10.0.0.1/32", "origin": "guard.toml:5" }],
            "services": [{
                "name": "web",
                "ports": ["tcp/3000", "udp/3000"],
                "mode": "monitor",
                "allow": [{ "prefix": "2001:db8::/48", "origin": "guard.toml:9" }],
                "limits": [
                    { "unit": "connections", "limit": 100, "window_ms": 60_000, "burst": 99, "per": "source" },
                    {
                        "unit": "bytes",
                        "limit": 65_536,
                        "window_ms": 60_000,
                        "burst": 65_535,
                        "per": { "v4": 24, "v6": 56 },
                    },
                ],
                "connections": {
                    "max": 100,
                    "max_per_source": 20,
                    "idle_timeout_ms": 300_000,
                    "ban": {
                        "after": 5,
                        "within_ms": 60_000,
                        "for_ms": 900_000,
                        "factor_percent": 250,
                        "max_ms": 86_400_000,
                        "widen": 8,
                    },
                },
            }],
            "log": { "eve": "/var/log/guard/eve.json", "stdout": true },
            "control_readers": "everyone",
            "cgroup": "/sys/fs/cgroup",
        });
        assert_eq!(serde_json::to_value(sample()).unwrap(), expected);
    }
}
