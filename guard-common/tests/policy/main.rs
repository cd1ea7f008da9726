//! Decisions: the order of rules, what a host cannot live without, addresses that cannot be real, impossible flags.

mod essential;
mod flags;
mod model;
mod order;
mod properties;
mod reason;
mod spoofed;
