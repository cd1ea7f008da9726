//! How the daemon asks something of a program that it runs by test_run: the request stands in the input, in place of a frame.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Where a request begins: behind the Ethernet header that test_run demands.
pub const OFFSET: usize = 16;

/// Bytes of an input, padding included.
pub const LENGTH: usize = 80;

/// A request, as it lies in memory.
pub trait Request: FromBytes + Immutable + IntoBytes + Sized {
    /// Returns the input with it.
    fn to_frame(&self) -> [u8; LENGTH] {
        let mut frame = [0; LENGTH];
        frame[OFFSET..][..size_of::<Self>()].copy_from_slice(self.as_bytes());
        frame
    }
}
