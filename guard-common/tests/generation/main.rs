//! A generation's lines: what is written is what is read, and a set contains what its ranges contain.

mod layout;
mod lines;
mod prefix;
