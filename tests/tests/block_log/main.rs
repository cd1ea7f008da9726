//! The block log: what a line says, how many there are, when they come, where they go, and that their counts add up.

mod fields;
mod flood;
mod output;
mod scene;
mod timing;
