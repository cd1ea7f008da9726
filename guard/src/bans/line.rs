//! The journal's lines: each says all that is known of a prefix, in place of what lines before it say.
//!
//! Times are wall times, each line with the clocks as they were when it was written, so that it is read as `entries.json` is.

use std::time::Duration;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Evidence, MachineBan, lengths, past};
use crate::{
    clock::{Clock, Moment},
    live::record::Clocks,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// It is banned.
    Ban(Ban),
    /// It was banned.
    Past(Past),
    /// Nothing is known of it.
    Lift(Lift),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ban {
    pub(super) prefix: IpNet,
    since: Timestamp,
    until: Timestamp,
    /// Bans before it.
    past: u32,
    /// In how long one of them is forgotten.
    memory_ms: u64,
    /// Whether it counts for a wider prefix.
    pub(super) widens: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock: Option<Clocks>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Past {
    pub(super) prefix: IpNet,
    bans: u32,
    /// When the last of them ended, or would have if it had ended just before one was forgotten.
    ended: Timestamp,
    memory_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock: Option<Clocks>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lift {
    pub(super) prefix: IpNet,
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// It is none, or of a prefix that is never banned by the machine.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let line: Self = serde_json::from_slice(text).map_err(|error| printable(&error.to_string()))?;
        let prefix = line.prefix();
        if lengths(prefix.addr()).contains(&prefix.prefix_len()) && prefix == prefix.trunc() {
            Ok(line)
        } else {
            Err(format!("{prefix} is no prefix that the machine bans"))
        }
    }

    /// Writes it, with what ends a line.
    pub(super) fn write(&self, text: &mut Vec<u8>) {
        serde_json::to_writer(&mut *text, self).expect("keys are strings, and memory takes what is written");
        text.push(b'\n');
    }

    fn prefix(&self) -> IpNet {
        match self {
            Self::Ban(ban) => ban.prefix,
            Self::Past(past) => past.prefix,
            Self::Lift(lift) => lift.prefix,
        }
    }
}

/// Keeps a file's words from moving the cursor, and from filling the screen.
fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    text.chars().take(LONGEST).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

impl Ban {
    pub(super) fn new(ban: &MachineBan, memory: Duration, widens: bool, now: &Moment) -> Self {
        let MachineBan { prefix, since, ends, past, evidence } = ban.clone();
        let (until, clock) = (now.clock.wall_at(ends), Clocks::of(now));
        Self { prefix, since, until, past, memory_ms: memory.as_millis() as u64, widens, evidence, clock }
    }

    /// Returns what is remembered of it and of those before.
    pub(super) fn past(&self, now: &Moment) -> past::Past {
        let memory = Duration::from_millis(self.memory_ms);
        past::Past::since(self.past.saturating_add(1), self.ends(now), memory, now.clock.boot)
    }

    /// Returns it as it is in force, unless it has ended.
    pub(super) fn in_force(self, now: &Moment) -> Option<MachineBan> {
        let ends = Duration::try_from(self.ends(now)).ok().filter(|ends| *ends > now.clock.boot)?;
        let Self { prefix, since, past, evidence, .. } = self;
        Some(MachineBan { prefix, since, ends, past, evidence })
    }

    fn ends(&self, now: &Moment) -> SignedDuration {
        Clocks::since_boot(self.clock.as_ref(), self.until, now)
    }
}

impl Past {
    pub(super) fn new(prefix: IpNet, past: &past::Past, now: &Moment) -> Self {
        let Clock { wall, boot } = now.clock;
        let ago = SignedDuration::try_from(boot).unwrap_or(SignedDuration::MAX).saturating_sub(past.ended());
        let ended = wall.saturating_sub(ago).expect("a signed duration saturates");
        Self { prefix, bans: past.bans, ended, memory_ms: past.memory.as_millis() as u64, clock: Clocks::of(now) }
    }

    /// Returns what is left of it.
    pub(super) fn past(&self, now: &Moment) -> past::Past {
        let memory = Duration::from_millis(self.memory_ms);
        let ended = Clocks::since_boot(self.clock.as_ref(), self.ended, now);
        past::Past::since(self.bans, ended, memory, now.clock.boot)
    }
}
