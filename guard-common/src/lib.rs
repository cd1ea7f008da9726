//! What the kernel program and the daemon agree on: how a packet is read, what becomes of it, and the bytes they exchange.
//!
//! No I/O, no clock, no allocation: everything here runs in the kernel, in host tests and in the daemon from the same source.

#![no_std]
#![forbid(unsafe_code)]

pub mod address;
pub mod bucket;
pub mod connections;
pub mod essential;
pub mod flow;
pub mod gate;
pub mod generation;
pub mod limits;
pub mod names;
pub mod packet;
pub mod policy;
pub mod prefix;
pub mod records;
pub mod request;
pub mod siphash;
pub mod timed;
