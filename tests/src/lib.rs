//! What the end-to-end tests and the demo stand on: hosts in namespaces, the wires between them, the frames on the
//! wires, and the real `guard` binary. Nothing here knows guard's insides; it sees the binary, its files and the
//! packets.
//!
//! Everything that goes wrong panics with its reason, because in a test there is nobody to hand an error to. Nothing
//! made here but a [`Cgroup`] has a name outside the process, so nothing else is left when the process ends, however it ends.

mod bpf;
mod built;
pub mod cell;
pub mod cgroup;
pub mod client;
pub mod connection;
pub mod counted;
pub mod counters;
pub mod cpu;
pub mod crowd;
pub mod egress;
pub mod frame;
pub mod guard;
pub mod handshakes;
pub mod host;
pub mod link;
pub mod load;
pub mod privileges;
pub mod probe;
pub mod process;
pub mod server;
pub mod site;
pub mod stream;
pub mod sums;
pub mod switch;
pub mod user;
pub mod wait;
pub mod wire;
pub mod xdp;

pub use cell::{Cell, Family, in_each_cell, in_each_family};
pub use cgroup::Cgroup;
pub use connection::Connection;
pub use counted::Counted;
pub use counters::Counters;
pub use crowd::Crowd;
pub use guard::{Guard, Options};
pub use handshakes::Handshakes;
pub use host::Host;
pub use link::{Interface, Link};
pub use load::Load;
pub use probe::Probe;
pub use server::KeptServer;
pub use site::Site;
pub use stream::{Arrivals, Stream};
pub use switch::Switch;
pub use user::User;
pub use wire::{Recorder, Sniffer, Wire};
