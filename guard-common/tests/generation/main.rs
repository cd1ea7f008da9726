//! A generation's layout and the reader of its sets, on tables written by hand. What the builder writes is tested where it is.

mod any_lines;
mod ipv4;
mod ipv6;
mod layout;
mod lines;
#[path = "../packet/random.rs"]
#[allow(dead_code, reason = "generated packets need more kinds of numbers")]
mod random;
