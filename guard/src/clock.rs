//! The clocks at one moment. What ends, ends by the time since boot, which nobody sets; files and people are told wall time.

use std::{fs, time::Duration};

use jiff::{SignedDuration, Timestamp};
use nix::time::{ClockId, clock_gettime};

/// Wall time and CLOCK_BOOTTIME, read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) wall: Timestamp,
    pub(crate) boot: Duration,
}

impl Clock {
    pub(crate) fn now() -> Self {
        let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("every Linux has a clock since boot");
        Self { wall: Timestamp::now(), boot: boot.into() }
    }

    /// Returns the wall time at which so much time since boot has passed, as the wall clock goes now.
    pub(crate) fn wall_at(&self, boot: Duration) -> Timestamp {
        let ahead = signed(boot) - signed(self.boot);
        self.wall.saturating_add(ahead).expect("a signed duration saturates")
    }

    /// Returns the time since boot that a wall time stands for, as the wall clock goes now; zero if it was before.
    pub(crate) fn boot_at(&self, wall: Timestamp) -> Duration {
        self.since_boot(wall).try_into().unwrap_or_default()
    }

    /// Returns the time since boot that a wall time stands for, as the wall clock goes now; less than zero if it was before.
    pub(crate) fn since_boot(&self, wall: Timestamp) -> SignedDuration {
        signed(self.boot).saturating_add(wall.duration_since(self.wall))
    }
}

/// Returns how far CLOCK_MONOTONIC is behind the time since boot: for how long the machine slept.
pub(crate) fn slept() -> Duration {
    let read = |clock| Duration::from(clock_gettime(clock).expect("every Linux has these clocks"));
    let awake = read(ClockId::CLOCK_MONOTONIC);
    read(ClockId::CLOCK_BOOTTIME).saturating_sub(awake)
}

/// The clocks, and in which boot they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) clock: Clock,
    /// The kernel's name for this boot; none if it does not tell.
    pub(crate) boot_id: Option<String>,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Clock::now().into()
    }
}

/// Takes a clock that was read in this boot.
impl From<Clock> for Moment {
    fn from(clock: Clock) -> Self {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        Self { clock, boot_id: boot_id.map(|id| id.trim().to_owned()) }
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
