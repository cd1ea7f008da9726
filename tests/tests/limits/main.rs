//! Rate limits: what is offered below, at and far above each, what passes of it, and what holds for it to be right.

mod accuracy;
mod agreement;
mod applications;
mod clock;
mod echo;
mod errors;
mod flood;
mod flows;
mod fragments;
mod log;
mod measure;
mod persistence;
mod processors;
mod scene;
mod trusted;
mod windows;
