//! Buckets beside an ideal one that is kept in whole numbers without rounding.

mod accuracy;
mod clock;
mod ideal;
mod inheritance;
mod line;
#[path = "../packet/random.rs"]
#[allow(dead_code, reason = "generated packets need more kinds of numbers")]
mod random;
mod threads;
