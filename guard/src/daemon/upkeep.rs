//! What the clocks bring: bans, grants and a lockdown that end, and clocks that were set or stood still.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use nix::time::{ClockId, clock_gettime};

use super::{
    Daemon,
    in_force::InForce,
    queue::{By, What},
};
use crate::clock::Clock;

/// How far clocks may go apart without having been set.
const SLACK: SignedDuration = SignedDuration::from_millis(500);

/// How long it is waited after one that failed.
const PAUSE: Duration = Duration::from_secs(60);

/// How many times as long as it took it rests.
const RESTS: u32 = 9;

/// When there is something to do.
pub(super) struct Upkeep {
    /// As they were before anything was read, or once they had jumped.
    clocks: Clocks,
    /// What failed is tried again then.
    again_at: Option<Instant>,
    /// What has ended is not taken out before.
    rests_until: Option<Instant>,
}

/// What there is to do.
#[derive(Debug, PartialEq)]
pub(super) struct Due {
    /// Something has ended, or ends by other clocks.
    pub(super) upkeep: Option<What>,
    /// The wall clock was set, by which files say when entries end.
    pub(super) files: bool,
}

impl Daemon {
    pub(super) fn look_at_clocks(&mut self) {
        if self.changes.is_upkeep_under_way() {
            return;
        }
        let due = self.changes.upkeep.look(&self.in_force);
        // First, because they may have been read by a clock that was wrong; what is written then says so no more.
        if due.files {
            self.banning.clock_was_set();
            self.request_unasked(What::Files, By::Clock);
        }
        if let Some(upkeep) = due.upkeep {
            self.request_unasked(upkeep, By::Clock);
        }
    }
}

impl Upkeep {
    pub(super) fn new() -> Self {
        Self { clocks: Clocks::now(&Clock::now()), again_at: None, rests_until: None }
    }

    /// Looks at the clocks.
    pub(super) fn look(&mut self, in_force: &InForce) -> Due {
        let clock = Clock::now();
        self.due(Clocks::now(&clock), Instant::now(), || has_ended(in_force, clock.boot))
    }

    fn due(&mut self, clocks: Clocks, now: Instant, has_ended: impl FnOnce() -> bool) -> Due {
        let (wall_set, slept) = clocks.jumped_since(&self.clocks);
        if wall_set || slept {
            self.clocks = clocks;
        }
        let is_put_off = self.again_at.is_some_and(|again_at| now < again_at);
        let upkeep = match (is_put_off, self.again_at.is_some() || wall_set || slept) {
            (true, _) => None,
            (false, true) => Some(What::Clocks),
            (false, false) if self.rests_until.is_some_and(|until| now < until) => None,
            (false, false) => has_ended().then_some(What::Ended),
        };
        if !is_put_off {
            self.again_at = None;
        }
        Due { upkeep, files: wall_set }
    }

    /// Leaves most of the time to others where there is so much that it took long; the kernel program does not wait for it.
    pub(super) fn rest(&mut self, took: Duration) {
        self.rests_until = Some(Instant::now() + took * RESTS);
    }

    /// Waits a while before it tries again what just failed; the kernel program ends what has ended all the same.
    pub(super) fn put_off(&mut self) {
        self.again_at = Some(Instant::now() + PAUSE);
    }
}

/// Tells whether something that is in force has ended at a time since boot.
pub(super) fn has_ended(in_force: &InForce, now: Duration) -> bool {
    let lockdown = in_force.live.lockdown.as_ref().and_then(|lockdown| lockdown.ends);
    in_force.timed.iter().map(|timed| timed.ends).chain(lockdown).any(|ends| ends <= now)
}

/// How far clocks are ahead of the time since boot.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    wall: SignedDuration,
    monotonic: SignedDuration,
}

impl Clocks {
    fn now(clock: &Clock) -> Self {
        let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has a monotonic clock");
        let since_boot = signed(clock.boot);
        Self { wall: clock.wall.as_duration() - since_boot, monotonic: signed(monotonic.into()) - since_boot }
    }

    /// Tells whether the wall clock was set, and whether the machine has slept.
    fn jumped_since(&self, before: &Self) -> (bool, bool) {
        let jumped = |now: SignedDuration, before: SignedDuration| (now - before).abs() > SLACK;
        (jumped(self.wall, before.wall), jumped(self.monotonic, before.monotonic))
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks(wall_ms: i64, monotonic_ms: i64) -> Clocks {
        let [wall, monotonic] = [wall_ms, monotonic_ms].map(SignedDuration::from_millis);
        Clocks { wall, monotonic }
    }

    #[test]
    fn a_clock_that_is_set_is_told_from_one_that_goes() {
        let before = clocks(1_000_000, 0);
        for (case, now, expected) in [
            ("both go on", clocks(1_000_000, 0), (false, false)),
            ("slewed", clocks(1_000_400, 0), (false, false)),
            ("set forward", clocks(1_003_000, 0), (true, false)),
            ("set back", clocks(400_000, 0), (true, false)),
            ("slept", clocks(1_000_000, -60_000), (false, true)),
        ] {
            assert_eq!(now.jumped_since(&before), expected, "{case}");
        }
    }

    #[test]
    fn no_jump_is_lost() {
        let start = Instant::now();
        let mut upkeep = Upkeep { clocks: clocks(0, 0), again_at: None, rests_until: None };
        let mut due = |now_s, clocks, ended| upkeep.due(clocks, start + Duration::from_secs(now_s), || ended);
        let expect = |upkeep, files| Due { upkeep, files };
        assert_eq!(due(1, clocks(0, 0), false), expect(None, false));
        assert_eq!(due(2, clocks(0, 0), true), expect(Some(What::Ended), false));
        // Set in small steps.
        assert_eq!(due(3, clocks(300, 0), false), expect(None, false));
        assert_eq!(due(4, clocks(600, 0), false), expect(Some(What::Clocks), true));
        assert_eq!(due(5, clocks(600, 0), false), expect(None, false));
        upkeep.again_at = Some(start + Duration::from_secs(60));
        let mut due = |now_s, clocks, ended| upkeep.due(clocks, start + Duration::from_secs(now_s), || ended);
        assert_eq!(due(59, clocks(600, -5000), true), expect(None, false));
        assert_eq!(due(60, clocks(600, -5000), false), expect(Some(What::Clocks), false));
        assert_eq!(due(61, clocks(600, -5000), false), expect(None, false));
        upkeep.rests_until = Some(start + Duration::from_secs(70));
        let mut due = |now_s, clocks, ended| upkeep.due(clocks, start + Duration::from_secs(now_s), || ended);
        assert_eq!(due(69, clocks(600, -5000), true), expect(None, false));
        assert_eq!(due(70, clocks(600, -5000), true), expect(Some(What::Ended), false));
    }
}
