//! What something took, each time it was timed.

use std::fmt;

/// Nanoseconds; at least one of them.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<u64>);

impl Times {
    pub(super) fn minimum_ns(&self) -> u64 {
        self.sorted_ns()[0]
    }

    pub(super) fn median_ns(&self) -> u64 {
        self.sorted_ns()[self.0.len() / 2]
    }

    fn sorted_ns(&self) -> Vec<u64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted
    }
}

impl Extend<u64> for Times {
    fn extend<T: IntoIterator<Item = u64>>(&mut self, times_ns: T) {
        self.0.extend(times_ns);
    }
}

/// The minimum, and the median in parentheses.
impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.minimum_ns(), self.median_ns())
    }
}
