//! A guard's life as an operator sees it: its start and what keeps it from starting, what comes and goes while it runs,
//! its ends, and what stays behind.

mod control;
mod end;
mod hearing;
mod interfaces;
mod occupied;
mod privileges;
mod scene;
mod start;
mod takeover;
mod traffic;
