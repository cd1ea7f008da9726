//! `guard.toml`: every key it may have, what the key means, and what holds where it is left out.
//!
//! Values end here as parsed parts with their lines; how they join with the environment is decided elsewhere.

mod connections;
mod limit;
mod section;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use crate::policy::{DefaultVerdict, Interfaces, Limit, Mode, Origin, Port, Protocol, Readers, XdpMode};

use super::faults::{Quoted, Report};
use super::interfaces;
use super::item::{List, Located, Scope};
use super::prefix;
use super::words::{NAME_FORM, is_name, parse_port};
pub(super) use connections::{CONNECTIONS_MAX, ConnectionKeys};
use section::{Section, Source};

/// What `guard.toml` says; every key may be left out, and so may the file.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// The file could not be parsed: what it may say is not known.
    pub(super) unknown: bool,
    /// `interfaces`: the interfaces to guard, or `["*"]` for physical Ethernet interfaces and bonds (not their
    /// members). No default: without it `GUARD_INTERFACE` must name them.
    pub(super) interfaces: Option<Interfaces>,
    /// `xdp_mode`: `auto`, `native` or `generic`. Default: `auto`, native where the driver has it.
    pub(super) xdp_mode: Option<XdpMode>,
    /// `mode`: `enforce` drops; `monitor` decides, counts and reports the same, and passes. Default: `enforce`.
    pub(super) mode: Option<Mode>,
    /// `default`: `pass` or `drop`, for ports that no service names. Default: `pass`.
    pub(super) default: Option<DefaultVerdict>,
    /// `failsafe_ports`: ports that always pass, so that nobody locks himself out. Default: `["tcp/22"]`.
    pub(super) failsafe_ports: Option<Vec<Port>>,
    /// `echo_rate`: what echo requests are held to: `{ limit, window, burst, per }` as in `rate`, counted in packets. Default:
    /// no limit.
    pub(super) echo_rate: Option<Limit>,
    /// `cgroup`: a directory of a cgroup v2 hierarchy; the connections of sockets in it and below are known. It is used, and must
    /// be there, only where a service's connections are limited or may lead to bans. Default: `/sys/fs/cgroup`.
    pub(super) cgroup: Option<Located<PathBuf>>,
    /// `shared_addresses`: own addresses that another host may hold for a time (VRRP). Default: none.
    pub(super) shared_addresses: Vec<IpAddr>,
    /// `allow_empty`: an empty allowlist on purpose. Default: `false`.
    pub(super) allow_empty: bool,
    /// `allow_wide`: an allowlist wider than a /4, or than a /16 of 2000::/3, on purpose. Default: `false`.
    pub(super) allow_wide: bool,
    /// `[allow] ips`: sources that may reach every service: addresses, prefixes, `@set`. Default: none.
    pub(super) allow: List,
    /// `[allow] file`: a list file, relative to the state directory. Default: `data/allowed_ips.json`, which may be
    /// missing.
    pub(super) list_file: Option<Located<PathBuf>>,
    /// `[deny] ips`: sources that are blocked everywhere: addresses, prefixes, `@set`. Default: none.
    pub(super) deny: List,
    /// `[trusted] ips`: sources that no limit is to hold for, and that the machine never bans: addresses, prefixes, `@set`. It lets
    /// nobody in. Default: none.
    pub(super) trusted: List,
    /// `[sets]`: named lists, `name = "file"`, one prefix a line, `#` begins a comment; relative to the directory of
    /// `guard.toml`. `@name` stands wherever a prefix may. Default: none.
    pub(super) sets: Vec<Located<(String, PathBuf)>>,
    /// `[[service]]`: up to 63 sets of ports with a policy of their own. Default: none.
    pub(super) services: Vec<ServiceKeys>,
    /// Some `[[service]]` was no table.
    pub(super) services_faulty: bool,
    /// `[log]`: where blocks are written.
    pub(super) log: LogKeys,
    /// `[control] readers`: who may ask the daemon what it does: `group`, root and the group `guard`, or `everyone` on the
    /// host. Default: `group`. Changes are for root and the group only.
    pub(super) control_readers: Option<Readers>,
}

/// One `[[service]]`.
#[derive(Debug)]
pub(super) struct ServiceKeys {
    /// Where it begins.
    pub(super) origin: Origin,
    /// `name`: 1 to 32 of `A-Z a-z 0-9 _ . -`. Required; none where it was refused.
    pub(super) name: Option<String>,
    /// `ports`: `tcp/3000`, `udp/3000`; each in one service only. Required.
    pub(super) ports: Vec<Located<Port>>,
    /// `allow`: sources in addition to `[allow]`; `["any"]` makes a public service. Default: none.
    pub(super) allow: List,
    /// `mode`: in place of the policy's.
    pub(super) mode: Option<Mode>,
    /// `rate`: what sources that may reach it are held to: up to 4 tables `{ unit, limit, window, burst, per }`, all of which
    /// must agree; one may stand without a list. Default: what `RATE_LIMIT_*` say, also for an empty list; without them none.
    pub(super) limits: Vec<Limit>,
    /// A part of `rate` was refused.
    pub(super) limits_faulty: bool,
    /// What TCP connections are held to.
    pub(super) connections: ConnectionKeys,
}

/// `[log]`.
#[derive(Debug, Default)]
pub(super) struct LogKeys {
    /// `eve = { path = "..." }`: the file of EVE lines, relative to the state directory. Default: none.
    pub(super) eve: Option<PathBuf>,
    /// `stdout`: EVE lines to standard output. Default: `true` where no file is given, else `false`.
    pub(super) stdout: Option<bool>,
}

/// `failsafe_ports` where it is left out: nobody locks himself out of SSH.
pub(super) const FAILSAFE_PORTS: &[Port] = &[Port { protocol: Protocol::Tcp, number: 22 }];

impl Document {
    /// Reads the text of the file at `path`.
    pub(super) fn parse(path: &Path, text: &str, report: &mut Report) -> Self {
        let source = Source::new(path.into(), text);
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let span = error.span().unwrap_or_default();
            let message = error.message().replace('\n', ", ");
            let at = if span.is_empty() { String::new() } else { format!(" at {}", source.quoted(&span)) };
            report.fault(&source.origin(&span), format_args!("not TOML{at}: {message}"));
        }
        if !errors.is_empty() {
            // What the parser made up for the broken parts would only add faults that are none.
            return Self { unknown: true, ..Self::default() };
        }
        let base = path.parent().unwrap_or(Path::new(""));
        Self::read(Section::top(&source, &table), base, report)
    }

    /// Stands for a file that cannot be read.
    pub(super) fn unreadable(path: &Path, error: impl std::fmt::Display, report: &mut Report) -> Self {
        let path: Arc<Path> = path.into();
        report.fault(&Origin::File { path }, error);
        Self { unknown: true, ..Self::default() }
    }

    fn read(mut top: Section<'_>, base: &Path, report: &mut Report) -> Self {
        let mut document = Self {
            interfaces: read_interfaces(&mut top, report),
            xdp_mode: top.word("xdp_mode", report),
            mode: top.word("mode", report),
            default: top.word("default", report),
            failsafe_ports: ports(&mut top, "failsafe_ports", &mut false, report)
                .map(|ports| ports.into_iter().map(|port| port.value).collect()),
            echo_rate: limit::echo_rate(&mut top, report),
            cgroup: cgroup(&mut top, report),
            shared_addresses: addresses(&mut top, report),
            allow_empty: top.flag("allow_empty", report).unwrap_or_default(),
            allow_wide: top.flag("allow_wide", report).unwrap_or_default(),
            ..Self::default()
        };
        if let Some(mut allow) = top.section("allow", "[allow]", &mut document.allow.faulty, report) {
            document.allow = list(&mut allow, "ips", Scope::List, report);
            document.list_file = path(&mut allow, "file", report);
            allow.finish(report);
        }
        document.deny = only_ips(&mut top, "deny", "[deny]", report);
        document.trusted = only_ips(&mut top, "trusted", "[trusted]", report);
        if let Some(mut sets) = top.section("sets", "[sets]", &mut false, report) {
            document.sets = read_sets(&mut sets, base, report);
        }
        let services = top.sections("service", "[[service]]", &mut document.services_faulty, report);
        document.services = services.into_iter().map(|service| ServiceKeys::read(service, report)).collect();
        if let Some(log) = top.section("log", "[log]", &mut false, report) {
            document.log = LogKeys::read(log, report);
        }
        if let Some(mut control) = top.section("control", "[control]", &mut false, report) {
            document.control_readers = control.word("readers", report);
            control.finish(report);
        }
        top.finish(report);
        document
    }
}

impl ServiceKeys {
    /// Stands for a service of which nothing but ports is said.
    pub(super) fn of_ports(origin: Origin, name: &str, ports: Vec<Located<Port>>) -> Self {
        Self {
            origin,
            name: Some(name.to_owned()),
            ports,
            allow: List::default(),
            mode: None,
            limits: Vec::new(),
            limits_faulty: false,
            connections: ConnectionKeys::default(),
        }
    }

    /// Tells whether one of its ports is one of TCP.
    pub(super) fn has_tcp(&self) -> bool {
        self.ports.iter().any(|port| port.value.protocol == Protocol::Tcp)
    }

    fn read(mut section: Section<'_>, report: &mut Report) -> Self {
        let origin = section.origin().clone();
        if !section.has("name") {
            report.fault(&origin, "a [[service]] without `name`");
        }
        let name = section.string("name", report).filter(|name| check_name(name, "service", report));
        let name = name.map(|name| name.value.to_owned());
        let mut faulty = false;
        let ports = ports(&mut section, "ports", &mut faulty, report).unwrap_or_default();
        if ports.is_empty() && !faulty {
            let name = name.as_deref().unwrap_or_default();
            report.fault(&origin, format_args!("service `{name}` has no `ports`: write `ports = [\"tcp/3000\"]`"));
        }
        let allow = list(&mut section, "allow", Scope::Service, report);
        let mode = section.word("mode", report);
        let mut limits_faulty = false;
        let limits = limit::rate(&mut section, &mut limits_faulty, report);
        let connections = ConnectionKeys::read(&mut section, report);
        section.finish(report);
        Self { origin, name, ports, allow, mode, limits, limits_faulty, connections }
    }
}

impl LogKeys {
    fn read(mut section: Section<'_>, report: &mut Report) -> Self {
        let mut log = Self { eve: None, stdout: section.flag("stdout", report) };
        if let Some(mut eve) = section.section("eve", "`eve`", &mut false, report) {
            if !eve.has("path") {
                report.fault(eve.origin(), "key `eve` has no `path`: write `eve = { path = \"eve.json\" }`");
            }
            log.eve = path(&mut eve, "path", report).map(|path| path.value);
            eve.finish(report);
        }
        section.finish(report);
        log
    }
}

fn read_interfaces(top: &mut Section<'_>, report: &mut Report) -> Option<Interfaces> {
    let mut faulty = false;
    let names = top.strings("interfaces", &mut faulty, report)?;
    // An empty list names none, as if it were not there: what is missing is said once, with how to give it.
    (faulty || !names.is_empty()).then(|| interfaces::parse(&names, report))
}

fn ports(
    section: &mut Section<'_>,
    key: &'static str,
    faulty: &mut bool,
    report: &mut Report,
) -> Option<Vec<Located<Port>>> {
    let mut ports = Vec::new();
    for Located { value, origin } in section.strings(key, faulty, report)? {
        match parse_port(value) {
            Ok(value) => ports.push(Located { value, origin }),
            Err(error) => {
                *faulty = true;
                report.fault(&origin, format_args!("port {} in `{key}`: {error}", Quoted(value)));
            }
        }
    }
    Some(ports)
}

fn addresses(top: &mut Section<'_>, report: &mut Report) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for Located { value, origin } in top.strings("shared_addresses", &mut false, report).unwrap_or_default() {
        match prefix::parse_one(value) {
            Ok(address) if addresses.contains(&address) => {}
            Ok(address) => addresses.push(address),
            Err(error) => {
                report.fault(&origin, format_args!("address {} in `shared_addresses`: {error}", Quoted(value)));
            }
        }
    }
    addresses
}

fn cgroup(top: &mut Section<'_>, report: &mut Report) -> Option<Located<PathBuf>> {
    let cgroup = path(top, "cgroup", report)?;
    if cgroup.value.is_relative() && !cgroup.value.as_os_str().is_empty() {
        let path = cgroup.value.display();
        report.fault(&cgroup.origin, format_args!("key `cgroup`: `{path}` does not begin with `/`"));
    }
    Some(cgroup)
}

fn list(section: &mut Section<'_>, key: &'static str, scope: Scope, report: &mut Report) -> List {
    let mut list = List::default();
    for Located { value, origin } in section.strings(key, &mut list.faulty, report).unwrap_or_default() {
        list.read(value, None, &origin, scope, report);
    }
    list
}

/// Reads a table whose one key is `ips`.
fn only_ips(top: &mut Section<'_>, key: &'static str, title: &'static str, report: &mut Report) -> List {
    let mut faulty = false;
    let Some(mut section) = top.section(key, title, &mut faulty, report) else {
        return List { faulty, ..List::default() };
    };
    let ips = list(&mut section, "ips", Scope::List, report);
    section.finish(report);
    ips
}

fn path(section: &mut Section<'_>, key: &'static str, report: &mut Report) -> Option<Located<PathBuf>> {
    let Located { value, origin } = section.string(key, report)?;
    if value.is_empty() {
        report.fault(&origin, format_args!("key `{key}` is an empty path"));
    }
    Some(Located { value: PathBuf::from(value), origin })
}

fn read_sets(section: &mut Section<'_>, base: &Path, report: &mut Report) -> Vec<Located<(String, PathBuf)>> {
    let mut sets = Vec::new();
    for (name, file) in section.named_strings(report) {
        if check_name(&name, "set", report) {
            sets.push(Located { value: (name.value.to_owned(), base.join(file)), origin: name.origin });
        }
    }
    sets
}

fn check_name(name: &Located<&str>, what: &str, report: &mut Report) -> bool {
    let good = is_name(name.value);
    if !good {
        report.fault(&name.origin, format_args!("{what} name {}: {NAME_FORM}", Quoted(name.value)));
    }
    good
}
