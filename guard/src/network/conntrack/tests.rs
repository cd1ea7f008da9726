//! Entries made by hand, and those of real traffic.

mod entries;
mod traffic;
