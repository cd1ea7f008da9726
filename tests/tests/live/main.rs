//! Lists changed by command or by file while guard runs: in force when the answer says so, kept, and never half done.
//! Numbered packets are under way during each change, and every one of them is accounted for.

mod audit;
mod edits;
mod expiry;
mod files;
mod kill;
mod listing;
mod lists;
mod lockdown;
mod mass;
mod power;
mod scene;
mod traffic;
mod under;
