//! Raw frames on an interface: sent byte for byte, and seen as they come in.
//!
//! What is received on a guarded interface is what guard let pass: native and generic XDP both run before the kernel
//! hands frames to packet sockets.

mod headers;
mod packet_socket;
mod reader;
mod recorder;
mod sniffer;

use std::{
    io::IoSlice,
    time::{Duration, Instant},
};

pub use headers::{Segment, is_icmpv6, source};
use nix::{
    errno::Errno,
    sys::socket::{self, LinkAddr, MsgFlags, MultiHeaders},
};
use packet_socket::{Arrival, LARGEST_FRAME, PacketSocket};
pub use recorder::Recorder;
pub use sniffer::Sniffer;

use crate::host::Host;

/// How many frames one system call sends. Small enough that a peer's queue (256 frames on veth) never fills from one
/// call.
const BATCH: usize = 64;

/// A packet socket on one interface of a host.
pub struct Wire {
    socket: PacketSocket,
    name: String,
}

impl Wire {
    /// Opens the interface of a host.
    pub fn open(host: &Host, interface: &str) -> Self {
        let name = format!("{interface} of host `{}`", host.name());
        let socket = host.enter(|| PacketSocket::open(interface));
        Self { socket: socket.unwrap_or_else(|error| panic!("cannot open {name}: {error:#}")), name }
    }

    /// Sends as other programs do from now on: to the interface's queue, before which classifiers see what leaves.
    pub fn through_queue(self) -> Self {
        self.socket.use_queue().unwrap_or_else(|error| panic!("send through the queue of {}: {error:#}", self.name));
        self
    }

    /// Sends one frame as it is.
    pub fn send(&self, frame: impl AsRef<[u8]>) {
        self.send_all(&[frame]);
    }

    /// Sends frames as fast as the kernel takes them, by default past every queueing discipline. A peer that is slower
    /// loses some, which [`crate::Interface::lost_frames`] counts.
    pub fn send_all(&self, frames: &[impl AsRef<[u8]>]) {
        let addresses = [None::<LinkAddr>; BATCH];
        for batch in frames.chunks(BATCH) {
            let slices: Vec<_> = batch.iter().map(|frame| [IoSlice::new(frame.as_ref())]).collect();
            let mut sent = 0;
            while sent < slices.len() {
                let mut headers = MultiHeaders::preallocate(BATCH, None);
                let socket = self.socket.as_raw_fd();
                let taken = socket::sendmmsg(socket, &mut headers, &slices[sent..], addresses, [], MsgFlags::empty());
                sent += match taken {
                    Ok(taken) => taken.count(),
                    // It is lost, and counted as such.
                    Err(Errno::ENOBUFS) => 1,
                    Err(error) => panic!("cannot send on {}: {error}", self.name),
                };
            }
        }
    }

    /// Sends so many frames, the first of which has number 0, as [`Wire::send_all`] does: the same frame over and over,
    /// with what `vary` changes in it for each number.
    pub fn send_varied(&self, frame: &[u8], count: u64, mut vary: impl FnMut(&mut [u8], u64)) {
        let mut batch = vec![frame.to_vec(); BATCH];
        for first in (0..count).step_by(BATCH) {
            let numbers = first..count.min(first + BATCH as u64);
            let mut filled = 0;
            for (frame, number) in batch.iter_mut().zip(numbers) {
                vary(frame, number);
                filled += 1;
            }
            self.send_all(&batch[..filled]);
        }
    }

    /// The next frame that has come in since the wire was opened, tags included; none if there is none in time.
    pub fn receive(&self, limit: Duration) -> Option<Vec<u8>> {
        let mut frame = vec![0; LARGEST_FRAME];
        let Arrival { length, .. } = self.socket.receive(&mut frame, limit)?;
        frame.truncate(length);
        Some(frame)
    }

    /// The next frame for which the predicate holds; those before it are gone.
    pub fn receive_where(&self, limit: Duration, wanted: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let deadline = Instant::now() + limit;
        loop {
            let frame = self.receive(deadline.saturating_duration_since(Instant::now()))?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }

    /// Forgets what has come in so far, and returns how many frames that were.
    pub fn drain(&self) -> usize {
        self.socket.drain()
    }
}
