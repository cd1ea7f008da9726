//! Connections: how many may be open, which are counted, when they cease to be, and who loses them.

mod attachment;
mod caps;
mod containers;
mod cut;
mod deaths;
mod evasion;
mod handshakes;
mod idle;
mod older;
mod overshoot;
mod own;
mod remade;
mod scene;
mod spoofed;
mod uncounted;
