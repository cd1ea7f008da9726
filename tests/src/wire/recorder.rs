//! When frames come in, by what they are.

use std::time::SystemTime;

use super::{Wire, reader::Reader};
use crate::host::Host;

/// Notes when frames reach an interface of a host, behind XDP, apart for each kind. Runs until dropped.
pub struct Recorder(Reader<Vec<Vec<SystemTime>>>);

impl Recorder {
    /// Starts to note the frames of so many kinds; those that are of none are left out. Every frame that comes in after
    /// the return is seen.
    pub fn start(
        host: &Host,
        interface: &str,
        kinds: usize,
        kind_of: impl Fn(&[u8]) -> Option<usize> + Send + 'static,
    ) -> Self {
        let note = move |times: &mut Vec<Vec<SystemTime>>, frame: &[u8], time| {
            if let Some(kind) = kind_of(frame) {
                times[kind].push(time);
            }
        };
        Self(Reader::start(Wire::open(host, interface), vec![Vec::new(); kinds], note))
    }

    /// Ends with every frame that has come in, and returns the times of each kind.
    pub fn stop(self) -> Vec<Vec<SystemTime>> {
        self.0.stop()
    }
}
