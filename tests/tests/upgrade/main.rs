//! What outlives a guard: state in tables of one layout, taken over by a guard with another; configuration, an empty kernel.

mod layouts;
mod power_loss;
mod scene;
mod traffic;
