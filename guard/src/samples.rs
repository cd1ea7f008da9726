//! Lists of prefixes for tests: a shape for everything that tables treat in a way of its own, and models that know nothing
//! of tables. Lists and models are shared with the fuzz target.

mod family;
mod model;
mod policy;
#[path = "../../guard-common/tests/packet/random.rs"]
#[allow(dead_code, reason = "generated packets need more kinds of numbers")]
mod random;
mod shape;

pub(crate) use family::{Family, number};
pub(crate) use model::{ByLength, is_in_any, some_telling_addresses};
pub(crate) use policy::{ban, entries, limit, policy, port, prefixes, service};
pub(crate) use random::Random;
pub(crate) use shape::{Shape, random_addresses};
