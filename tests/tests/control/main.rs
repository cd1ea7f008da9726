//! The control socket: who may use it for what, and what clients that mean harm, or just break off, can do.

mod hostile;
mod permissions;
mod scene;
mod turns;
