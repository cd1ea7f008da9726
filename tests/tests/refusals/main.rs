//! Configurations that guard must not run with, and what `guard check` says of those that it may.

mod check;
mod faults;
mod nothing_fails_open;
