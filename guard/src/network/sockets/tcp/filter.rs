//! A filter for local ports that the kernel applies to each socket, so that those of others are not even told
//! (linux/inet_diag.h).

use std::collections::BTreeSet;

/// A list of sockets is asked for with a filter in this attribute.
const INET_DIAG_REQ_BYTECODE: u16 = 1;

const INET_DIAG_BC_JMP: u8 = 1;
/// The source's port is that in the next instruction's place.
const INET_DIAG_BC_S_EQ: u8 = 11;

/// `struct inet_diag_bc_op`.
const OP: usize = 4;
/// A comparison and its port.
const COMPARISON: usize = 2 * OP;

/// Ports beyond which the kernel tells of all sockets: it goes through the filter port by port.
const PORTS_MAX: usize = 256;

/// Returns the attribute; nothing for ports that are too many.
pub(super) fn attribute(ports: &BTreeSet<u16>) -> Vec<u8> {
    if ports.len() > PORTS_MAX {
        return Vec::new();
    }
    let filter = filter(ports);
    let length = OP + filter.len();
    let header = [(length as u16).to_ne_bytes(), INET_DIAG_REQ_BYTECODE.to_ne_bytes()].concat();
    [header, filter].concat()
}

/// Each port's comparison goes on with the next one's unless it holds; then a jump leads to the end, which lets the socket through. Only the
/// last comparison leads beyond the end, which keeps it back.
fn filter(ports: &BTreeSet<u16>) -> Vec<u8> {
    let mut filter = Vec::new();
    for (behind, port) in (0..ports.len()).rev().zip(ports) {
        filter.extend(op(INET_DIAG_BC_S_EQ, COMPARISON, COMPARISON + OP));
        filter.extend(op(0, 0, usize::from(*port)));
        if behind > 0 {
            filter.extend(op(INET_DIAG_BC_JMP, OP, behind * (COMPARISON + OP)));
        }
    }
    filter
}

/// An instruction, with where to go on if it holds and if not.
fn op(code: u8, yes: usize, no: usize) -> [u8; OP] {
    let [no_0, no_1] = (no as u16).to_ne_bytes();
    [code, yes as u8, no_0, no_1]
}
