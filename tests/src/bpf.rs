//! bpf(2), of which libraries for the whole of it are not worth their weight here.

use std::io;

/// Calls bpf(2); the kernel takes fields of `union bpf_attr` behind `length` for zero.
///
/// # Safety
/// `attributes` must point to `length` bytes without padding that are the command's fields of `union bpf_attr`, some of
/// which the kernel may write. Memory that these name must be there for the call, writable where the command writes.
pub(crate) unsafe fn bpf<A>(command: libc::c_int, attributes: *mut A, length: usize) -> io::Result<i32> {
    // SAFETY: as the caller promises.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, length) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as i32) }
}
