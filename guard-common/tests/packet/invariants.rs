//! What holds of the parser for any frame. Shared with the fuzz target.

use guard_common::packet::Parsed;

use crate::bytes::{Recorded, read, read_frame};

/// The longest packet that does not depend on how long its frame is.
const LENGTH_FIELD_MAX: usize = 65_535;

/// Panics if the parser's answer for the frame depends on bytes that it should not depend on.
pub(crate) fn check(frame: &[u8]) {
    let recorded = Recorded::new(frame);
    let reading = read_frame(&recorded);
    let reads = recorded.into_reads();
    let read_up_to = reads.iter().map(|range| range.end).max().unwrap_or(0);

    let mut unread_changed: Vec<u8> = frame.iter().map(|byte| !byte).collect();
    for range in &reads {
        unread_changed[range.clone()].copy_from_slice(&frame[range.clone()]);
    }
    assert_eq!(read(&unread_changed), reading, "bytes that were not read matter in {frame:02x?}");
    assert!(reads.iter().all(|range| range.start >= 12), "Ethernet addresses were read in {frame:02x?}");

    if reading.parsed == Parsed::Ip {
        let end = packet_start(frame) + reading.packet.length as usize;
        assert!(end <= frame.len(), "a packet of {end} bytes in {frame:02x?}");
        assert!(read_up_to <= end, "bytes behind the packet were read in {frame:02x?}");
        if frame.len() < LENGTH_FIELD_MAX {
            assert_eq!(read(&[frame, &[0xff; 9]].concat()), reading, "bytes behind the packet matter in {frame:02x?}");
        }
    }

    // The kernel may fail to read what lies beyond a frame's linear part.
    let beginning = |bytes: usize| read_frame(&Recorded::with_length(&frame[..bytes], frame.len() as u32));
    assert_eq!(beginning(read_up_to), reading, "a byte that was not read matters in {frame:02x?}");
    if let Some(one_less) = read_up_to.checked_sub(1) {
        assert_eq!(beginning(one_less).parsed, Parsed::Malformed, "a missing byte does not matter in {frame:02x?}");
    }
    read_frame(&Recorded::with_length(frame, u32::MAX));

    // The kernel's program takes a frame's first piece for all of it, unless it is malformed as such.
    for length in (0..frame.len()).rev().step_by(7).take(20) {
        let piece = read(&frame[..length]);
        assert!(
            piece.parsed == Parsed::Malformed || piece == reading || frame.len() > LENGTH_FIELD_MAX,
            "the first {length} bytes of {frame:02x?}"
        );
    }
}

/// Returns where the packet begins in a frame that holds one.
pub(crate) fn packet_start(frame: &[u8]) -> usize {
    let mut start = 14;
    while matches!(frame[start - 2..start], [0x81, 0x00] | [0x88, 0xa8]) {
        start += 4;
    }
    match frame[start - 2..start] {
        [0x88, 0x64] => start + 6 + if frame[start + 6] % 2 == 1 { 1 } else { 2 },
        _ => start,
    }
}
