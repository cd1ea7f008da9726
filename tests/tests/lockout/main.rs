//! Changes that would cut a login session: refused, unless they are forced.

mod changes;
mod first_run;
mod login;
mod scene;
mod unconcerned;
