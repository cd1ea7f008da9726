//! Connections: how handshakes are counted, who is let in, and what is proven of a source; each beside a simple model.

mod admit;
mod half_open;
mod host;
mod interleaved;
mod keys;
mod model;
mod proof;
#[path = "../packet/random.rs"]
#[allow(dead_code, reason = "generated packets need more kinds of numbers")]
mod random;
mod threads;
