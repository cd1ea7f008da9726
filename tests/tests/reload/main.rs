//! Policies that change while they are enforced: whole or not at all, and with every count where it belongs.

mod edits;
mod faults;
mod interfaces;
mod log;
mod modes;
mod names;
mod own_addresses;
mod scene;
mod surprise;
mod swap;
mod turns;
