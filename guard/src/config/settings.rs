//! What the variables say: the same values as `guard.toml`, in variables' syntax.

use std::path::PathBuf;

use crate::policy::{DefaultVerdict, Interfaces, Mode, Port, Word, XdpMode};

use super::application_connections::ApplicationConnections;
use super::application_limits::ApplicationLimits;
use super::environment::{NOT_ENFORCED, Variables, is_separator};
use super::faults::{Quoted, Report};
use super::interfaces;
use super::item::{List, Located, Scope};
use super::words::{parse_port, parse_word};

/// Everything the environment sets.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// `ALLOWED_IPS`: addresses, prefixes and sets, parted by commas or white space; joined with `[allow] ips`.
    pub(super) allow: List,
    /// `ALLOWED_IPS_FILE`: in place of `[allow] file`; relative to the state directory.
    pub(super) list_file: Option<Located<PathBuf>>,
    /// `GUARD_INTERFACE`: interfaces, parted the same way; in place of `interfaces`.
    pub(super) interfaces: Option<Interfaces>,
    /// `GUARD_PORTS`: the ports of one service named `default`, parted the same way; beside `[[service]]` it is a
    /// fault.
    pub(super) ports: Option<Located<Vec<Located<Port>>>>,
    /// `GUARD_MODE`: in place of `mode`.
    pub(super) mode: Option<Mode>,
    /// `GUARD_DEFAULT`: in place of `default`.
    pub(super) default: Option<DefaultVerdict>,
    /// `GUARD_XDP_MODE`: in place of `xdp_mode`.
    pub(super) xdp_mode: Option<XdpMode>,
    /// `GUARD_EVE_FILE`: in place of `[log] eve`'s path; relative to the state directory.
    pub(super) eve_file: Option<PathBuf>,
    /// `RATE_LIMIT_*`, `AUTH_RATE_LIMIT_MAX`, `DATA_RATE_LIMIT_MAX`.
    pub(super) limits: ApplicationLimits,
    /// `TCP_MAX_CONNECTIONS`, `WS_MAX_CONNECTIONS`, `TCP_CONNECTION_TIMEOUT`, `WS_CONNECTION_TIMEOUT`.
    pub(super) connections: ApplicationConnections,
    /// `LOG_LEVEL`: as it stands; the daemon's log reads it.
    pub(super) log_level: Option<String>,
}

impl Settings {
    /// Reads the variables that have a value.
    pub(super) fn read(variables: &Variables, report: &mut Report) -> Self {
        warn(variables, report);
        let mut allow = List::default();
        for Located { value, origin } in variables.get("ALLOWED_IPS").into_iter().flat_map(items) {
            allow.read(value, None, &origin, Scope::List, report);
        }
        let path = |variable: &Located<String>| PathBuf::from(variable.value.trim());
        Self {
            allow,
            list_file: variables
                .get("ALLOWED_IPS_FILE")
                .map(|variable| Located { value: path(variable), origin: variable.origin.clone() }),
            interfaces: variables
                .get("GUARD_INTERFACE")
                .map(|variable| interfaces::parse(&items(variable).collect::<Vec<_>>(), report)),
            ports: variables
                .get("GUARD_PORTS")
                .map(|variable| Located { value: ports(variable, report), origin: variable.origin.clone() }),
            mode: word("GUARD_MODE", variables, report),
            default: word("GUARD_DEFAULT", variables, report),
            xdp_mode: word("GUARD_XDP_MODE", variables, report),
            eve_file: variables.get("GUARD_EVE_FILE").map(path),
            limits: ApplicationLimits::read(variables, report),
            connections: ApplicationConnections::read(variables, report),
            log_level: variables.get("LOG_LEVEL").map(|variable| variable.value.trim().to_owned()),
        }
    }
}

fn items(variable: &Located<String>) -> impl Iterator<Item = Located<&str>> {
    let parts = variable.value.split(is_separator).filter(|part| !part.is_empty());
    (1..).zip(parts).map(|(part, value)| Located { value, origin: variable.origin.at(part) })
}

fn ports(variable: &Located<String>, report: &mut Report) -> Vec<Located<Port>> {
    let mut ports = Vec::new();
    for Located { value, origin } in items(variable) {
        match parse_port(value) {
            Ok(value) => ports.push(Located { value, origin }),
            Err(error) => report.fault(&origin, format_args!("port {}: {error}", Quoted(value))),
        }
    }
    ports
}

fn word<T: Word>(name: &'static str, variables: &Variables, report: &mut Report) -> Option<T> {
    let Located { value, origin } = variables.get(name)?;
    parse_word(value.trim()).map_err(|error| report.fault(origin, error)).ok()
}

fn warn(variables: &Variables, report: &mut Report) {
    if let Some(Located { value, origin }) = variables.get("TRUST_PROXY").filter(|variable| !is_off(&variable.value)) {
        report.warn(
            origin,
            format_args!(
                "{} changes nothing: guard always judges the packet's real source, never a header, so that clients \
                 behind a proxy have the proxy's address",
                Quoted(&format!("TRUST_PROXY={value}"))
            ),
        );
    }
    for name in NOT_ENFORCED {
        let Some(Located { value, origin }) = variables.get(name) else { continue };
        let asks_nothing = match *name {
            "ALLOW_PRIVATE_NETWORKS" => !is_off(value),
            "PROMETHEUS_ENABLED" => is_off(value),
            _ => false,
        };
        if !asks_nothing {
            report.warn(origin, format_args!("{} is not enforced by this version", Quoted(&format!("{name}={value}"))));
        }
    }
}

fn is_off(value: &str) -> bool {
    ["0", "false", "no", "off"].contains(&value.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use crate::policy::Protocol;

    use super::super::item::Piece;
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<(Settings, Vec<String>), String> {
        let process: Vec<_> = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let mut report = Report::default();
        let variables = Variables::gather(&process, None, &mut report);
        let settings = Settings::read(&variables, &mut report);
        let warnings = report.finish().map_err(|faults| faults.to_string())?;
        Ok((settings, warnings.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn reads_every_variable() {
        let (settings, warnings) = read(&[
            ("ALLOWED_IPS", "127.0.0.1,192.168.1.5, 10.0.0.0/8\n2001:db8::/48\t@office,"),
            ("ALLOWED_IPS_FILE", "lists/mine.json"),
            ("GUARD_INTERFACE", "eth0, eth1"),
            ("GUARD_PORTS", "tcp/3000,udp/3000"),
            ("GUARD_MODE", "monitor"),
            ("GUARD_DEFAULT", "drop"),
            ("GUARD_XDP_MODE", "generic"),
            ("GUARD_EVE_FILE", "/var/log/guard/eve.json"),
            ("LOG_LEVEL", "debug"),
        ])
        .unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        let [Piece::Prefixes(prefixes), Piece::Set { origin, .. }] = settings.allow.pieces.as_slice() else {
            panic!("{:?}", settings.allow)
        };
        assert_eq!(prefixes.len(), 4);
        assert_eq!(origin.to_string(), "environment variable ALLOWED_IPS item 5");
        assert_eq!(settings.list_file.unwrap().value, PathBuf::from("lists/mine.json"));
        assert_eq!(settings.interfaces, Some(Interfaces::Named(vec!["eth0".to_owned(), "eth1".to_owned()])));
        let ports: Vec<Port> = settings.ports.unwrap().value.iter().map(|port| port.value).collect();
        let port = |protocol| Port { protocol, number: 3000 };
        assert_eq!(ports, [port(Protocol::Tcp), port(Protocol::Udp)]);
        assert_eq!(settings.mode, Some(Mode::Monitor));
        assert_eq!(settings.default, Some(DefaultVerdict::Drop));
        assert_eq!(settings.xdp_mode, Some(XdpMode::Generic));
        assert_eq!(settings.eve_file, Some(PathBuf::from("/var/log/guard/eve.json")));
        assert_eq!(settings.log_level.as_deref(), Some("debug"));
    }

    #[test]
    fn reports_every_bad_value_with_its_item() {
        let faults = read(&[
            ("ALLOWED_IPS", "10.0.0.0/33, 10.0.0.1 10.0.0"),
            ("GUARD_PORTS", "tcp/1 3000/tcp"),
            ("GUARD_MODE", "off"),
            ("GUARD_DEFAULT", "accept"),
            ("GUARD_XDP_MODE", "skb"),
        ])
        .unwrap_err();
        assert_eq!(
            faults,
            "environment variable ALLOWED_IPS item 1: prefix `10.0.0.0/33`: length over 32\n\
             environment variable ALLOWED_IPS item 3: prefix `10.0.0`: neither an IPv4 nor an IPv6 address\n\
             environment variable GUARD_PORTS item 2: port `3000/tcp`: the protocol comes first: write `tcp/3000`\n\
             environment variable GUARD_MODE: `off` is none of `enforce`, `monitor`\n\
             environment variable GUARD_DEFAULT: `accept` is none of `pass`, `drop`\n\
             environment variable GUARD_XDP_MODE: `skb` is none of `auto`, `native`, `generic`"
        );
    }

    #[test]
    fn trust_proxy_is_answered_where_it_is_on() {
        for (value, warned) in [("true", true), ("1", true), ("loopback", true), ("false", false), ("0", false)] {
            let (_, warnings) = read(&[("TRUST_PROXY", value)]).unwrap();
            assert_eq!(!warnings.is_empty(), warned, "{value}");
            assert!(warnings.iter().all(|warning| warning.contains("guard always judges the packet's real source")));
        }
    }

    #[test]
    fn what_is_not_enforced_is_said_loudly() {
        for name in NOT_ENFORCED {
            let value = if *name == "ALLOW_PRIVATE_NETWORKS" { "false" } else { "100" };
            let (_, warnings) = read(&[(name, value)]).unwrap();
            let expected = format!("environment variable {name}: `{name}={value}` is not enforced by this version");
            assert_eq!(warnings, [expected]);
        }
        for (name, value) in [("ALLOW_PRIVATE_NETWORKS", "true"), ("PROMETHEUS_ENABLED", "false")] {
            assert!(read(&[(name, value)]).unwrap().1.is_empty(), "{name}={value}");
        }
    }
}
