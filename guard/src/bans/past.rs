//! Bans that are remembered, and how they are forgotten.

use std::time::Duration;

use jiff::SignedDuration;

/// Bans that are remembered, with that in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Past {
    pub(super) bans: u32,
    /// When one of them is forgotten, in time since boot.
    pub(super) fades_at: Duration,
    /// In how long the next one is.
    pub(super) memory: Duration,
}

impl Past {
    /// Returns what is left by now of so many bans, the last of which ended, or ends, at a time since boot.
    pub(super) fn since(bans: u32, ended: SignedDuration, memory: Duration, now: Duration) -> Self {
        let (ended, memory_ns) = (ended.as_nanos(), memory.as_nanos() as i128);
        let passed = (now.as_nanos() as i128 - ended).max(0);
        // In no time everything is forgotten.
        let forgotten = passed.checked_div(memory_ns).unwrap_or(i128::MAX);
        match u32::try_from(forgotten).ok().and_then(|forgotten| bans.checked_sub(forgotten)) {
            None | Some(0) => Self::default(),
            Some(bans) => {
                let fades_at = ended + (forgotten + 1) * memory_ns;
                Self { bans, fades_at: Duration::from_nanos_u128(fades_at.max(0) as u128), memory }
            }
        }
    }

    /// When the last of them ended, or ends, in time since boot.
    pub(super) fn ended(&self) -> SignedDuration {
        signed(self.fades_at).saturating_sub(signed(self.memory))
    }

    /// Forgets what is to be forgotten by now.
    pub(super) fn fade(&mut self, now: Duration) {
        *self = Self::since(self.bans, self.ended(), self.memory, now);
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
