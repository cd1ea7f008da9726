//! Connections that guard closed, one JSON object a line beside those of blocked packets.

use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use serde::Serialize;

use super::eve::timestamp;

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cause {
    /// Nothing came or left for as long as its service allows.
    Idle,
    /// It was more than its service, or its source there, may have.
    Cap,
    /// Its source was banned by the machine.
    Banned,
    /// Nothing lets its source in to the service any more.
    Removed,
}

/// A line of `event_type` `close`.
#[derive(Debug, Serialize)]
pub(crate) struct ClosedLine {
    #[serde(serialize_with = "timestamp")]
    timestamp: Timestamp,
    event_type: &'static str,
    src_ip: IpAddr,
    src_port: u16,
    dest_ip: IpAddr,
    dest_port: u16,
    proto: &'static str,
    guard: Closed,
}

#[derive(Debug, Serialize)]
struct Closed {
    service: String,
    cause: Cause,
    /// For how long nothing came or left.
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_s: Option<u64>,
}

impl ClosedLine {
    /// Describes a connection to a service that was closed at `time`; its socket's own end is `local`.
    pub(crate) fn new(
        time: Timestamp,
        remote: SocketAddr,
        local: SocketAddr,
        service: String,
        cause: Cause,
        idle_s: Option<u64>,
    ) -> Self {
        Self {
            timestamp: time,
            event_type: "close",
            src_ip: remote.ip(),
            src_port: remote.port(),
            dest_ip: local.ip(),
            dest_port: local.port(),
            proto: "TCP",
            guard: Closed { service, cause, idle_s },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_was_cut_off_and_why() {
        let line = |cause, idle_s| {
            let [remote, local] = ["[2001:db8::7]:50000", "[2001:db8::1]:3000"].map(|end| end.parse().unwrap());
            let time = "2026-11-22T11:30:00.25Z".parse().unwrap();
            serde_json::to_value(ClosedLine::new(time, remote, local, "web".to_owned(), cause, idle_s)).unwrap()
        };
        let expected = serde_json::json!({
            "timestamp": "2026-11-22T11:30:00.250000+0000",
            "event_type": "close",
            "src_ip": "2001:db8::7",
            "src_port": 50000,
            "dest_ip": "2001:db8::1",
            "dest_port": 3000,
            "proto": "TCP",
            "guard": {"service": "web", "cause": "idle", "idle_s": 300},
        });
        assert_eq!(line(Cause::Idle, Some(300)), expected);
        let of = |cause| line(cause, None)["guard"].clone();
        assert_eq!(of(Cause::Cap), serde_json::json!({"service": "web", "cause": "cap"}));
        assert_eq!(of(Cause::Banned)["cause"], "banned");
        assert_eq!(of(Cause::Removed)["cause"], "removed");
    }
}
