//! Frames in memory, as the parser reads them. Shared with the fuzz target.

use std::{cell::RefCell, ops::Range};

use guard_common::packet::{Frame, Packet, Parsed, parse, read_answer_to_quoted};

/// What the parser makes of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Reading {
    pub(crate) parsed: Parsed,
    pub(crate) packet: Packet,
}

/// Reads a frame that lies in memory whole.
pub(crate) fn read(frame: &[u8]) -> Reading {
    read_frame(&Bytes(frame))
}

pub(crate) fn read_frame<F: Frame>(frame: &F) -> Reading {
    let mut packet = Packet::default();
    let parsed = parse(frame, &mut packet);
    Reading { parsed, packet }
}

/// Returns what an ICMP error, as it was read, is judged as.
pub(crate) fn read_quoted(frame: &[u8], error: &Packet) -> Option<Packet> {
    let mut packet = *error;
    read_answer_to_quoted(&Bytes(frame), &mut packet)?;
    Some(packet)
}

struct Bytes<'a>(&'a [u8]);

impl Frame for Bytes<'_> {
    fn length(&self) -> u32 {
        self.0.len() as u32
    }

    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.0.get(offset as usize..)?.first_chunk().copied()
    }
}

/// A frame of which only the beginning can be read, and which keeps what was read.
pub(crate) struct Recorded<'a> {
    bytes: &'a [u8],
    length: u32,
    reads: RefCell<Vec<Range<usize>>>,
}

impl<'a> Recorded<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self::with_length(bytes, bytes.len() as u32)
    }

    /// Takes the bytes that can be read and the length of the frame that they begin.
    pub(crate) fn with_length(bytes: &'a [u8], length: u32) -> Self {
        Self { bytes, length, reads: RefCell::default() }
    }

    /// Returns the ranges that were read, each within the bytes.
    pub(crate) fn into_reads(self) -> Vec<Range<usize>> {
        self.reads.into_inner()
    }
}

impl Frame for Recorded<'_> {
    fn length(&self) -> u32 {
        self.length
    }

    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let offset = offset as usize;
        let bytes = *self.bytes.get(offset..)?.first_chunk()?;
        self.reads.borrow_mut().push(offset..offset + N);
        Some(bytes)
    }
}
