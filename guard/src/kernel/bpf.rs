//! Commands of bpf(2) for which aya has no call, or none that needs no program of its own (linux/bpf.h).

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

const MAP_UPDATE_ELEM: libc::c_int = 2;
const OBJ_GET: libc::c_int = 7;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const MAP_LOOKUP_BATCH: libc::c_int = 24;
const LINK_DETACH: libc::c_int = 34;

/// Adds an element only where its key has none, and changes one only where it has.
const BPF_NOEXIST: u64 = 1;
const BPF_EXIST: u64 = 2;

/// What a link on an interface says of itself: the head of `struct bpf_link_info`, and of its part about tcx.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct LinkInfo {
    kind: u32,
    id: u32,
    /// The kernel's number of its program.
    pub(super) program: u32,
    padding: u32,
    /// The index of the interface that it is on; 0 once it is on none.
    pub(super) interface: u32,
    attach_type: u32,
}

/// The head of `struct bpf_prog_info`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct ProgramInfo {
    kind: u32,
    id: u32,
}

/// Opens what is pinned at a path.
pub(super) fn open_pin(pin: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(pin.as_os_str().as_bytes())?;
    // `pathname`, the first field.
    let object = bpf(OBJ_GET, &mut (path.as_ptr() as u64))?;
    // SAFETY: BPF_OBJ_GET answered with a descriptor, which nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(object) })
}

/// Takes a link off what it is attached to; one whose interface is gone already stays as it is.
pub(super) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    // `link_fd`, the only field.
    bpf(LINK_DETACH, &mut (link.as_raw_fd() as u32)).map(drop)
}

/// Asks a link on an interface about itself.
pub(super) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    info(link)
}

/// Asks for the kernel's number of a program.
pub(super) fn program_id(program: BorrowedFd<'_>) -> io::Result<u32> {
    info::<ProgramInfo>(program).map(|info| info.id)
}

fn info<T: Copy + Default>(object: BorrowedFd<'_>) -> io::Result<T> {
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Attributes {
        object: u32,
        length: u32,
        info: u64,
    }
    let mut info = T::default();
    let length = size_of::<T>() as u32;
    let object = object.as_raw_fd() as u32;
    bpf(OBJ_GET_INFO_BY_FD, &mut Attributes { object, length, info: (&raw mut info) as u64 })?;
    Ok(info)
}

/// What concerns one element of a map.
#[derive(Clone, Copy)]
#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Adds an element to a map whose keys are `K` and values `V`; false if the key has one already.
pub(super) fn add<K, V>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<bool> {
    update(map, key, value, BPF_NOEXIST, io::ErrorKind::AlreadyExists)
}

/// Changes an element of a map whose keys are `K` and values `V`; false if the key has none.
pub(super) fn change<K, V>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<bool> {
    update(map, key, value, BPF_EXIST, io::ErrorKind::NotFound)
}

fn update<K, V>(map: BorrowedFd<'_>, key: &K, value: &V, flags: u64, refusal: io::ErrorKind) -> io::Result<bool> {
    let (key, value) = ((&raw const *key) as u64, (&raw const *value) as u64);
    match bpf(MAP_UPDATE_ELEM, &mut Element { map: map.as_raw_fd() as u32, padding: 0, key, value, flags }) {
        Err(error) if error.kind() == refusal => Ok(false),
        updated => updated.map(|_| true),
    }
}

/// Elements that are asked for at once; no bucket of a hash holds as many.
const BATCH: usize = 4096;

/// Gives every element of a hash to `visit`. One that comes or goes meanwhile may be missing, but no other is: it goes by
/// buckets, so it does not lose its way when the element goes that it has come to.
pub(super) fn for_each<K: Copy + Default, V: Copy + Default>(
    map: BorrowedFd<'_>,
    mut visit: impl FnMut(&K, &V),
) -> io::Result<()> {
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Attributes {
        from: u64,
        next: u64,
        keys: u64,
        values: u64,
        count: u32,
        map: u32,
        element_flags: u64,
        flags: u64,
    }
    let mut keys = vec![K::default(); BATCH];
    let mut values = vec![V::default(); BATCH];
    let mut bucket = 0_u32;
    let mut from = 0;
    loop {
        let mut batch = Attributes {
            from,
            next: (&raw mut bucket) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: BATCH as u32,
            map: map.as_raw_fd() as u32,
            element_flags: 0,
            flags: 0,
        };
        let asked = bpf(MAP_LOOKUP_BATCH, &mut batch);
        let ended = match asked {
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            more => more.map(|_| false)?,
        };
        let found = (batch.count as usize).min(BATCH);
        keys[..found].iter().zip(&values).for_each(|(key, value)| visit(key, value));
        if ended {
            return Ok(());
        }
        from = (&raw mut bucket) as u64;
    }
}

fn bpf<A: Copy>(command: libc::c_int, attributes: &mut A) -> io::Result<i32> {
    // SAFETY: `attributes` are integers whose size is told, and the kernel takes the fields that follow for zero. What some
    // of them point to are values of the callers', of the sizes that are told or that the map has, which outlive the call.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<A>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as i32) }
}
