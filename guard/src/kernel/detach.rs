//! Taking a pinned link off its interface, done when it returns.
//!
//! Removing the pin would do as well, but later: the kernel lets go of a pin's link in a work queue.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

/// Commands of bpf(2) (linux/bpf.h).
const OBJ_GET: libc::c_int = 7;
const LINK_DETACH: libc::c_int = 34;

/// Detaches the link that is pinned at a path; one whose interface is gone already stays as it is.
pub(super) fn detach(pin: &Path) -> io::Result<()> {
    let path = CString::new(pin.as_os_str().as_bytes())?;
    // `pathname`, the first field for BPF_OBJ_GET.
    let link = bpf(OBJ_GET, &(path.as_ptr() as u64))?;
    // SAFETY: BPF_OBJ_GET answered with a descriptor, which nobody else has.
    let link = unsafe { OwnedFd::from_raw_fd(link) };
    // `link_fd`, the only field for BPF_LINK_DETACH.
    bpf(LINK_DETACH, &(link.as_raw_fd() as u32)).map(drop)
}

fn bpf<A: Copy>(command: libc::c_int, attributes: &A) -> io::Result<i32> {
    // SAFETY: `attributes` is an integer whose size is told, and the kernel takes the fields that follow for zero; the
    // path that one of them points to ends with a zero byte and outlives the call.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<A>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as i32) }
}
