//! Decisions: the order of rules, what a host cannot live without, addresses that cannot be real, impossible flags, answers to
//! the host's own flows, ICMP errors, limits, bans and grants; and all of them beside a second reading of the design.

mod errors;
mod essential;
mod expected;
mod flags;
mod limits;
mod model;
mod opened;
mod order;
mod properties;
mod reason;
mod replies;
mod rules;
mod spoofed;
mod timed;
