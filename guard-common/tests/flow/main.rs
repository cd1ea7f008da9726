//! Flows of this host: what that leaves opens one, what that comes in answers it, and when it ends.

mod answers;
mod host;
mod key;
mod leaving;
mod machine;
