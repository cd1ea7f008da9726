//! What passed of what was offered, and what an ideal bucket would have let pass.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// What came of a load.
#[derive(Default)]
pub(crate) struct Passage {
    /// When packets were sent.
    pub(crate) sent: Vec<SystemTime>,
    /// When packets came in that passed.
    pub(crate) passed: Vec<SystemTime>,
}

impl Passage {
    /// The time from the first packet that passed to the last.
    pub(crate) fn time(&self) -> Duration {
        let (first, last) = (self.passed.iter().min(), self.passed.iter().max());
        let span = first.zip(last).map(|(first, last)| last.duration_since(*first));
        span.map_or(Duration::ZERO, |span| span.expect("the last is no earlier than the first"))
    }

    /// Holds what passed against what a bucket lets pass in that time: its burst, and then its rate. Where less was
    /// offered, or the sender was held up for longer than the burst lasts, that is less: what an ideal bucket lets pass
    /// of what was sent.
    pub(crate) fn against(&self, what: impl fmt::Display, bucket: Bucket) -> Accuracy {
        let ideal = bucket.ideal(&self.sent).len() as f64;
        self.against_number(what, ideal.min(bucket.most(self.time())))
    }

    /// Holds what passed against a number of packets.
    pub(crate) fn against_number(&self, what: impl fmt::Display, expected: f64) -> Accuracy {
        let (offered, passed) = (self.sent.len() as u64, self.passed.len() as u64);
        Accuracy { what: what.to_string(), offered, expected, passed }
    }
}

/// A limit, as an ideal bucket keeps it.
#[derive(Clone, Copy)]
pub(crate) struct Bucket {
    /// Between packets that pass once the burst is used up.
    pub(crate) interval: Duration,
    /// Packets that pass at once beyond the first.
    pub(crate) burst: u32,
}

impl Bucket {
    pub(crate) const fn per_s(packets: u32, burst: u32) -> Self {
        Self { interval: Duration::from_nanos(1_000_000_000 / packets as u64), burst }
    }

    /// The packets that pass in a time if there always are more.
    pub(crate) fn most(self, time: Duration) -> f64 {
        1.0 + f64::from(self.burst) + time.as_secs_f64() / self.interval.as_secs_f64()
    }

    /// When packets pass of some that come at these times.
    pub(crate) fn ideal(self, times: &[SystemTime]) -> Vec<SystemTime> {
        let mut times = times.to_vec();
        times.sort();
        let mut idle_at = SystemTime::UNIX_EPOCH;
        times.retain(|time| {
            let debt = idle_at.duration_since(*time).unwrap_or_default();
            let passes = debt <= self.interval * self.burst;
            if passes {
                idle_at = *time + debt + self.interval;
            }
            passes
        });
        times
    }
}

/// What passed, held against what should.
pub(crate) struct Accuracy {
    pub(crate) what: String,
    pub(crate) offered: u64,
    pub(crate) expected: f64,
    pub(crate) passed: u64,
}

impl Accuracy {
    /// Prints it, and tells whether it is right: within 1 %, or one packet if that is more.
    pub(crate) fn is_right(&self) -> bool {
        self.is_within((self.expected / 100.0).max(1.0))
    }

    /// Prints it, and tells whether it is right but for so many packets.
    pub(crate) fn is_within(&self, packets: f64) -> bool {
        println!("{self}");
        self.error() <= packets
    }

    /// How far off it is, in packets.
    fn error(&self) -> f64 {
        (self.passed as f64 - self.expected).abs()
    }
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, offered, expected, passed } = self;
        let accuracy = 100.0 - 100.0 * self.error() / expected;
        write!(f, "{what}: offered {offered}, expected {expected:.1}, passed {passed}, accuracy {accuracy:.2} %")
    }
}
