//! The scene of these tests: a guarded host whose administrator is logged in from a listed address, by a port that is no failsafe
//! one.

use std::{
    net::{IpAddr, SocketAddr},
    process::{Command, Output},
};

use guard_tests::{Cell, Guard, Options, Site};
use serde_json::Value;

use super::login::{KnownBy, Login};

pub(crate) const SSH: u16 = 2222;
pub(crate) const FAILSAFE: u16 = 22;

/// Where the audit log is, as [`guard_tests::Host::read`] takes it.
const AUDIT: &str = "state/audit.jsonl";

pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) guard: Guard,
}

impl Scene {
    pub(crate) fn new(cell: Cell) -> Self {
        let site = Self::site(cell);
        site.host().write("state/data/allowed_ips.json", format!("[\"{}\"]", administrator(cell)));
        let guard = site.guard(&policy(""));
        Self { site, guard }
    }

    /// A site whose peer has the administrator's address.
    pub(crate) fn site(cell: Cell) -> Site {
        let site = Site::new(cell);
        site.add_sources([administrator(cell)]);
        site
    }

    pub(crate) fn login(&self, known: KnownBy) -> Login {
        self.login_at(known, SSH)
    }

    /// Logs in from the administrator's address.
    pub(crate) fn login_at(&self, known: KnownBy, port: u16) -> Login {
        let site = &self.site;
        Login::new(known, site.peer(), administrator(site.cell), site.host(), site.at(port))
    }

    /// A command of words set apart by spaces, where `ADMIN` is the administrator's address, as the login starts it.
    pub(crate) fn command(&self, login: &Login, command: &str) -> Command {
        let command = command.replace("ADMIN", &administrator(self.site.cell).to_string());
        let mut words = command.split(' ');
        let subcommand = words.next().expect("a command has words");
        let arguments: Vec<&str> = words.collect();
        let options = Options { args: &arguments, ..Options::default() };
        login.started_by(&Guard::command(self.site.host(), options, subcommand))
    }

    pub(crate) fn run(&self, login: &Login, command: &str) -> Output {
        self.command(login, command).output().expect("a command can be run")
    }

    /// Runs a command, which must be refused for the login's sake and change nothing.
    #[track_caller]
    pub(crate) fn assert_refused(&self, login: &Login, command: &str, saved_by: &str) {
        let (generation, lines) = (self.generation(), self.audit().len());
        let output = self.run(login, command);
        let said = String::from_utf8_lossy(&output.stderr);
        let case = format!("{}: {command}: {said}", self.site.cell);
        assert_eq!(output.status.code(), Some(1), "{case}");
        let administrator = administrator(self.site.cell).to_string();
        for part in [login.described(), &administrator, &format!("tcp/{SSH}"), saved_by, "--force"] {
            assert!(said.contains(part), "no `{part}` in {case}");
        }
        assert_eq!(self.generation(), generation, "{case}");
        assert!(login.is_alive(), "{case}");
        let audit = self.audit();
        assert_eq!(audit.len(), lines + 1, "{case}: {audit:#?}");
        let last = audit.last().expect("there is a line");
        assert_eq!((&last["outcome"], &last["forced"]), (&"refused".into(), &false.into()), "{case}: {last:#}");
        assert!(last["faults"].to_string().contains(&administrator), "{case}: {last:#}");
    }

    /// Runs a command, which must do; returns what guard says.
    #[track_caller]
    pub(crate) fn assert_done(&self, login: &Login, command: &str) -> String {
        let output = self.run(login, command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {command}: {said}", self.site.cell);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.guard.status()["generation"].as_u64().expect("a generation is a number")
    }

    pub(crate) fn audit(&self) -> Vec<Value> {
        audit(&self.site)
    }
}

/// The lines of the audit log of a site's guard.
pub(crate) fn audit(site: &Site) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    site.host().read(AUDIT).lines().map(parse).collect()
}

/// What the guard of these tests enforces beside the list file, and more at the end.
pub(crate) fn policy(more: &str) -> String {
    format!(
        "default = 'drop'\nfailsafe_ports = ['tcp/{FAILSAFE}']\nallow.ips = ['192.0.2.1']\n{more}\n[[service]]\nname = \
         'web'\nports = ['tcp/3000']\n"
    )
}

pub(crate) fn administrator(cell: Cell) -> IpAddr {
    cell.pick("198.51.100.7", "2001:db8:51::7").parse().expect("an address")
}

/// Where sessions of another address come from.
pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}
