//! Taking a pinned link off its interface, done when it returns.
//!
//! Removing the pin would do as well, but later: the kernel lets go of a pin's link in a work queue.

use std::{io, os::fd::AsFd as _, path::Path};

use super::bpf::{detach_link, open_pin};

/// Detaches the link that is pinned at a path; one whose interface is gone already stays as it is.
pub(super) fn detach(pin: &Path) -> io::Result<()> {
    detach_link(open_pin(pin)?.as_fd())
}
