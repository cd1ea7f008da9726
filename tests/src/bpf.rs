//! bpf(2), of which libraries for the whole of it are not worth their weight here.

use std::io;

/// A command of bpf(2) (linux/bpf.h).
const PROG_QUERY: libc::c_int = 16;

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

/// How many programs are attached to a target, an interface's index or a cgroup's descriptor, in the way of a type.
pub(crate) fn programs_attached(target: u32, attach_type: u32) -> io::Result<usize> {
    /// The first fields of `union bpf_attr` for `BPF_PROG_QUERY`.
    #[derive(Default)]
    #[repr(C)]
    struct Query {
        target: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        program_ids: u64,
        count: u32,
        unused: u32,
        program_attach_flags: u64,
        link_ids: u64,
        link_attach_flags: u64,
        revision: u64,
    }
    let mut query = Query { target, attach_type, ..Query::default() };
    // SAFETY: the value is whole, without padding, and names no memory; the kernel writes counts into it.
    unsafe { bpf(PROG_QUERY, &raw mut query, size_of::<Query>()) }?;
    Ok(query.count as usize)
}
