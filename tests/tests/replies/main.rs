//! What a guarded host asks for is answered, and nobody gets in by way of an answer.

mod containers;
mod cut;
mod dhcp;
mod ended;
mod errors;
mod fragments;
mod lifetime;
mod lockdown;
mod older;
mod outgoing;
mod quotes;
mod scene;
mod service_ports;
mod strangers;
mod wires;
