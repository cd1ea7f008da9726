//! What became of the clients' requests, beside what guard counted.

use anyhow::{bail, ensure};
use serde_json::Value;

use super::clients::Client;

/// A client's visit as the tester saw it.
pub(super) struct Outcome {
    pub(super) client: Client,
    pub(super) requests: usize,
    /// Requests that the server answered.
    pub(super) answered: usize,
    /// Packets that left the client.
    pub(super) sent: u64,
    /// Packets that the server's network stack saw.
    pub(super) arrived: u64,
}

impl Outcome {
    fn verdict(&self) -> &'static str {
        match (self.answered, self.arrived) {
            (0, 0) => "dropped",
            (answered, arrived) if answered == self.requests && arrived == self.sent => "passed",
            _ => "mixed",
        }
    }

    fn expected(&self) -> &'static str {
        if self.client.listed { "passed" } else { "dropped" }
    }
}

pub(super) fn print(outcomes: &[Outcome]) {
    println!(
        "\n{:<20} {:<9} {:>9} {:>9} {:>13} {:>16}  verdict",
        "client", "", "requests", "answered", "packets sent", "seen by server"
    );
    for outcome in outcomes {
        let Client { address, listed } = outcome.client;
        println!(
            "{:<20} {:<9} {:>9} {:>9} {:>13} {:>16}  {}",
            address.to_string(),
            if listed { "listed" } else { "unlisted" },
            outcome.requests,
            outcome.answered,
            outcome.sent,
            outcome.arrived,
            outcome.verdict()
        );
    }
}

/// Holds what the tester saw against the allowlist, guard's counters and its log.
pub(super) fn check(outcomes: &[Outcome], status: &Value, log: &str) -> anyhow::Result<()> {
    for outcome in outcomes {
        if outcome.verdict() != outcome.expected() {
            bail!("{} should have been {}, but was {}", outcome.client.address, outcome.expected(), outcome.verdict());
        }
    }
    let sent = |listed: bool| -> u64 {
        outcomes.iter().filter(|outcome| outcome.client.listed == listed).map(|outcome| outcome.sent).sum()
    };
    println!("\n{:<32} {:>10} {:>10}", "packets to port 3000", "tester", "guard");
    let mut wrong = Vec::new();
    for (name, reason, tester) in
        [("from listed clients", "allowed", sent(true)), ("from unlisted clients", "not_allowed", sent(false))]
    {
        let guard = counted(status, reason);
        println!("{name:<32} {tester:>10} {guard:>10}");
        if guard != tester {
            wrong.push(name);
        }
    }
    let logged = in_log(log);
    println!("{:<32} {:>10} {logged:>10}", "in the block log", sent(false));
    ensure!(wrong.is_empty(), "guard and the tester counted different packets {}", wrong.join(" and "));
    ensure!(logged == sent(false), "the block log's counts do not add up");
    Ok(())
}

/// Guard's counter of a reason, of the service that GUARD_PORTS made.
fn counted(status: &Value, reason: &str) -> u64 {
    let rows = status["counters"].as_array().map_or(&[][..], Vec::as_slice);
    rows.iter()
        .filter(|row| row["reason"] == reason && row["service"].is_string())
        .filter_map(|row| row["packets"].as_u64())
        .sum()
}

/// Packets of unlisted clients that the log's lines stand for.
fn in_log(log: &str) -> u64 {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["event_type"] == "drop" && line["dest_port"] == super::PORT)
        .filter_map(|line| line["guard"]["count"].as_u64())
        .sum()
}
