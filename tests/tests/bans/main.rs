//! Bans by the machine: who is banned, of what, for how long, and who never is.

mod course;
mod innocent;
mod kept;
mod reach;
mod scene;
mod widened;
