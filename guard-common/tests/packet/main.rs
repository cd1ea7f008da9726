//! The parser: named cases of every row of "what odd packets get", every truncation, properties, and a comparison with a
//! parser of other origin.

mod build;
mod bytes;
mod compare;
mod difference;
mod differential;
mod extension;
mod fragment;
mod generate;
mod invariants;
mod link;
mod network;
mod oracle;
mod properties;
mod quoted;
mod quotes;
mod random;
mod table;
mod transport;
mod truncated;
