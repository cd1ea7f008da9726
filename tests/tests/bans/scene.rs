//! The scene of these tests: a service that bans, and one that only suffers it.

use std::{net::IpAddr, time::Duration};

use guard_tests::{
    Cell, Counted, Counters, Crowd, Guard, KeptServer,
    client::{Outcome, connects},
    counted::{WEB, service},
    process::Finished,
    wait::{eventually, until},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub(crate) const SOON: Duration = Duration::from_secs(10);
/// How long an answer is waited for that must not come; before a SYN is sent again.
pub(crate) const SHORTLY: Duration = Duration::from_millis(400);
/// How soon after a violation its source is banned.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(1);

/// A service without limits.
pub(crate) const OTHER: u16 = 4000;
/// Connections that a source may open to the service that bans.
pub(crate) const LIMIT: usize = 5;
/// Violations that make a ban.
pub(crate) const AFTER: usize = 3;

pub(crate) struct Scene {
    pub(crate) guard: Guard,
    servers: Vec<KeptServer>,
    pub(crate) counted: Counted,
    config: String,
}

impl Scene {
    /// A guard whose bans are as `keys` say besides [`AFTER`]; `rest` stands before the services.
    pub(crate) fn new(cell: Cell, keys: &str, rest: &str) -> Self {
        Self::at(Counted::new(cell, 4), keys, rest)
    }

    pub(crate) fn at(counted: Counted, keys: &str, rest: &str) -> Self {
        let servers = vec![counted.serve(WEB), counted.serve(OTHER)];
        let config = format!(
            "{rest}\n{}[[service]]\nname = 'other'\nports = ['tcp/{OTHER}']\n",
            service(&format!(
                "rate = {{ unit = 'connections', limit = {LIMIT}, window = '1h' }}\nban = {{ after = {AFTER}, {keys} }}"
            ))
        );
        let guard = counted.guard(&config);
        Self { guard, servers, counted, config }
    }

    /// Starts the next guard after one that has ended.
    pub(crate) fn start_again(&mut self) {
        self.guard = self.counted.guard(&self.config);
    }

    /// Serves on another port.
    pub(crate) fn serve(&mut self, port: u16) {
        self.servers.push(self.counted.serve(port));
    }

    pub(crate) fn client(&self, number: u16) -> IpAddr {
        self.counted.client(number)
    }

    /// What a client is banned by.
    pub(crate) fn prefix(&self, client: u16) -> String {
        match self.client(client) {
            IpAddr::V4(address) => format!("{address}/32"),
            IpAddr::V6(address) => format!("{}/64", std::net::Ipv6Addr::from(u128::from(address) >> 64 << 64)),
        }
    }

    /// Has a client open as many connections as it may.
    pub(crate) fn use_up(&self, client: u16) -> Crowd {
        let mut crowd = self.counted.crowd(client, LIMIT);
        crowd.wait_connected(LIMIT, SOON);
        crowd
    }

    /// Has a client try to open so many more than it may; returns once all were refused. Each tries again and again until dropped.
    pub(crate) fn violate(&self, client: u16, count: usize) -> Crowd {
        let refused = || Counters::read(&self.guard).packets("web drop rate_connections");
        let before = refused();
        let crowd = self.counted.crowd(client, count);
        let banned = || self.bans().len();
        let bans = banned();
        // What comes behind the violation that makes the ban may be refused for that.
        eventually("they are refused", SOON, || refused() >= before + count as u64 || banned() > bans);
        crowd
    }

    /// Has a client use up what it may and go beyond until it is banned; returns the line that says so.
    pub(crate) fn offend(&self, client: u16) -> Value {
        let _open = self.use_up(client);
        self.offend_again(client)
    }

    /// Has a client that still owes go beyond what it may until it is banned; returns the line that says so.
    pub(crate) fn offend_again(&self, client: u16) -> Value {
        let lines = self.ban_lines("banned").len();
        let _refused = self.violate(client, AFTER);
        self.wait_for_ban_line("banned", lines)
    }

    /// What becomes of a connection that a source tries to open to a port.
    pub(crate) fn connects(&self, source: IpAddr, port: u16) -> Outcome {
        connects(self.counted.site.peer(), source, self.counted.site.at(port), SHORTLY)
    }

    pub(crate) fn ask(&self, command: &str) -> Finished {
        self.guard.ask(&command.split(' ').collect::<Vec<_>>())
    }

    /// Runs a command, which must do; returns what guard says.
    #[track_caller]
    pub(crate) fn done(&self, command: &str) -> String {
        self.ask(command).done(command)
    }

    /// The entries of `block list`.
    #[track_caller]
    pub(crate) fn bans(&self) -> Vec<Value> {
        let answer = self.done("block list --json");
        let listing: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
        listing["entries"].as_array().unwrap_or_else(|| panic!("no entries in {listing:#}")).clone()
    }

    /// The prefixes of `block list`.
    pub(crate) fn banned(&self) -> Vec<String> {
        self.bans().iter().map(|entry| entry["ip"].as_str().expect("an entry has a prefix").to_owned()).collect()
    }

    /// The lines of the log that tell of a ban's beginning or end, by the action.
    pub(crate) fn ban_lines(&self, action: &str) -> Vec<Value> {
        let lines = self.guard.eve().into_iter();
        lines.filter(|line| line["event_type"] == "ban" && line["guard"]["action"] == action).collect()
    }

    /// Waits for a line that tells of a ban and returns it; there were so many before.
    #[track_caller]
    pub(crate) fn wait_for_ban_line(&self, action: &str, before: usize) -> Value {
        let line = until(SOON, || self.ban_lines(action).get(before).cloned());
        line.unwrap_or_else(|| panic!("no line `{action}` after {before}; the list: {:#?}", self.bans()))
    }

    /// Violations that the daemon has heard of.
    pub(crate) fn violations(&self) -> u64 {
        let status = self.guard.status();
        status["machine_bans"]["violations"].as_u64().unwrap_or_else(|| panic!("no violations in {status:#}"))
    }
}

/// How long a ban of which a line tells lasts, to the second.
pub(crate) fn duration_s(line: &Value) -> i64 {
    let time = |value: &Value| -> Timestamp {
        let text = value.as_str().unwrap_or_else(|| panic!("no time in {line}"));
        text.parse().unwrap_or_else(|error| panic!("`{text}`: {error}"))
    };
    let lasts: SignedDuration = time(&line["guard"]["until"]).duration_since(time(&line["timestamp"]));
    lasts.round(jiff::Unit::Second).expect("it is short").as_secs()
}
