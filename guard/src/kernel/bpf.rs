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

const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const OBJ_PIN: libc::c_int = 6;
const OBJ_GET: libc::c_int = 7;
const MAP_GET_FD_BY_ID: libc::c_int = 14;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const MAP_LOOKUP_BATCH: libc::c_int = 24;
const MAP_UPDATE_BATCH: libc::c_int = 26;
const MAP_DELETE_BATCH: libc::c_int = 27;
const LINK_CREATE: libc::c_int = 28;
const LINK_UPDATE: libc::c_int = 29;
const LINK_DETACH: libc::c_int = 34;

/// The attach type of programs that follow a cgroup's sockets.
const CGROUP_SOCK_OPS: u32 = 3;

/// Adds or changes an element, adds one only where its key has none, changes one only where it has.
const BPF_ANY: u64 = 0;
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

/// What a link on a cgroup says of itself: the head of `struct bpf_link_info`, and of its part about cgroups.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct CgroupLinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    padding: u32,
    /// The kernel's number of the cgroup that it is on; 0 once it is on none.
    pub(super) cgroup: u64,
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

/// Pins an object at a path where nothing is.
pub(super) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Attributes {
        path: u64,
        object: u32,
        flags: u32,
    }
    let path = CString::new(path.as_os_str().as_bytes())?;
    bpf(OBJ_PIN, &mut Attributes { path: path.as_ptr() as u64, object: object.as_raw_fd() as u32, flags: 0 }).map(drop)
}

/// Has a program follow the sockets of a cgroup for as long as the link lives that is returned.
pub(super) fn follow_sockets(program: BorrowedFd<'_>, cgroup: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // `prog_fd`, `target_fd`, `attach_type`, the first fields.
    let mut attributes = [program.as_raw_fd() as u32, cgroup.as_raw_fd() as u32, CGROUP_SOCK_OPS];
    let link = bpf(LINK_CREATE, &mut attributes)?;
    // SAFETY: BPF_LINK_CREATE answered with a descriptor, which nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(link) })
}

/// Has a link run another program from now on.
pub(super) fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    // `link_fd`, `new_prog_fd`, the first fields.
    bpf(LINK_UPDATE, &mut [link.as_raw_fd() as u32, program.as_raw_fd() as u32]).map(drop)
}

/// Asks a link on a cgroup about itself.
pub(super) fn cgroup_link_info(link: BorrowedFd<'_>) -> io::Result<CgroupLinkInfo> {
    info(link)
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
pub(super) fn add<K: ?Sized, V: ?Sized>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<bool> {
    unless(io::ErrorKind::AlreadyExists, update(map, key, value, BPF_NOEXIST))
}

/// Changes an element of a map whose keys are `K` and values `V`; false if the key has none.
pub(super) fn change<K: ?Sized, V: ?Sized>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<bool> {
    unless(io::ErrorKind::NotFound, update(map, key, value, BPF_EXIST))
}

/// Adds or changes an element of a map whose keys are `K` and values `V`.
pub(super) fn set<K: ?Sized, V: ?Sized>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<()> {
    update(map, key, value, BPF_ANY)
}

/// Reads an element of a map whose keys are `K` into `value`, which has room for it, of each CPU if it is per CPU; false if the
/// key has none.
pub(super) fn look_up<K: ?Sized>(map: BorrowedFd<'_>, key: &K, value: &mut [u8]) -> io::Result<bool> {
    let (key, value) = ((&raw const *key).cast::<u8>() as u64, value.as_mut_ptr() as u64);
    let mut element = Element { map: map.as_raw_fd() as u32, padding: 0, key, value, flags: 0 };
    unless(io::ErrorKind::NotFound, bpf(MAP_LOOKUP_ELEM, &mut element).map(drop))
}

/// Opens a map by the kernel's number of it, which takes CAP_SYS_ADMIN.
pub(super) fn open_map(id: u32) -> io::Result<OwnedFd> {
    // `map_id`, the first field.
    let map = bpf(MAP_GET_FD_BY_ID, &mut { id })?;
    // SAFETY: BPF_MAP_GET_FD_BY_ID answered with a descriptor, which nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(map) })
}

fn update<K: ?Sized, V: ?Sized>(map: BorrowedFd<'_>, key: &K, value: &V, flags: u64) -> io::Result<()> {
    let (key, value) = ((&raw const *key).cast::<u8>() as u64, (&raw const *value).cast::<u8>() as u64);
    bpf(MAP_UPDATE_ELEM, &mut Element { map: map.as_raw_fd() as u32, padding: 0, key, value, flags }).map(drop)
}

/// Tells whether the kernel did what it was asked to, or refused it in the way that is expected.
fn unless(refusal: io::ErrorKind, done: io::Result<()>) -> io::Result<bool> {
    match done {
        Err(error) if error.kind() == refusal => Ok(false),
        done => done.map(|()| true),
    }
}

/// What concerns many elements of a map.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Batch {
    from: u64,
    next: u64,
    keys: u64,
    values: u64,
    /// Elements that there is room for, or that are given; the kernel writes how many it came by.
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

impl Batch {
    fn of(map: BorrowedFd<'_>, count: usize) -> Self {
        Self { count: count as u32, map: map.as_raw_fd() as u32, ..Self::default() }
    }
}

/// Adds elements to a hash whose keys are `K` and values `V`, or changes them: those before the first that the kernel refuses.
pub(super) fn write<K, V>(map: BorrowedFd<'_>, keys: &[K], values: &[V]) -> io::Result<()> {
    assert_eq!(keys.len(), values.len(), "each key has a value");
    if keys.is_empty() {
        return Ok(());
    }
    update_all(map, keys.as_ptr() as u64, values.as_ptr() as u64, keys.len())
}

/// Removes elements of a hash whose keys are `K`; those that are not there are passed over.
pub(super) fn remove<K>(map: BorrowedFd<'_>, mut keys: &[K]) -> io::Result<()> {
    while !keys.is_empty() {
        let mut batch = Batch { keys: keys.as_ptr() as u64, ..Batch::of(map, keys.len()) };
        match bpf(MAP_DELETE_BATCH, &mut batch) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => keys = &keys[batch.count as usize + 1..],
            removed => return removed.map(drop),
        }
    }
    Ok(())
}

/// Elements that are asked for at once; no bucket of a hash holds as many.
const BATCH: usize = 4096;

/// Gives every element of a hash to `visit`. One that comes or goes meanwhile may be missing, but no other is: it goes by
/// buckets, so it does not lose its way when the element goes that it has come to.
pub(super) fn for_each<K: Copy + Default, V: Copy + Default>(
    map: BorrowedFd<'_>,
    mut visit: impl FnMut(&K, &V),
) -> io::Result<()> {
    for_each_batch(map, size_of::<K>(), size_of::<V>(), |keys, values| {
        for (key, value) in keys.chunks_exact(size_of::<K>()).zip(values.chunks_exact(size_of::<V>())) {
            // SAFETY: as many bytes as each has, and records that the kernel writes take any bytes.
            let (key, value) =
                unsafe { (key.as_ptr().cast::<K>().read_unaligned(), value.as_ptr().cast::<V>().read_unaligned()) };
            visit(&key, &value);
        }
        Ok(())
    })
}

/// Does so for a hash of which only the sizes of keys and values are known, with many at a time, one behind the other.
pub(super) fn for_each_batch(
    map: BorrowedFd<'_>,
    key_size: usize,
    value_size: usize,
    mut visit: impl FnMut(&[u8], &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut keys = vec![0_u8; BATCH * key_size];
    let mut values = vec![0_u8; BATCH * value_size];
    let mut bucket = 0_u32;
    let mut from = 0;
    loop {
        let mut batch = Batch {
            from,
            next: (&raw mut bucket) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            ..Batch::of(map, BATCH)
        };
        let is_more = unless(io::ErrorKind::NotFound, bpf(MAP_LOOKUP_BATCH, &mut batch).map(drop))?;
        let found = (batch.count as usize).min(BATCH);
        visit(&keys[..found * key_size], &values[..found * value_size])?;
        if !is_more {
            return Ok(());
        }
        from = (&raw mut bucket) as u64;
    }
}

/// Adds or changes so many elements of a hash, whose keys and values stand one behind the other.
pub(super) fn set_batch(map: BorrowedFd<'_>, keys: &[u8], values: &[u8], count: usize) -> io::Result<()> {
    update_all(map, keys.as_ptr() as u64, values.as_ptr() as u64, count)
}

fn update_all(map: BorrowedFd<'_>, keys: u64, values: u64, count: usize) -> io::Result<()> {
    bpf(MAP_UPDATE_BATCH, &mut Batch { keys, values, element_flags: BPF_ANY, ..Batch::of(map, count) }).map(drop)
}

fn bpf<A: Copy>(command: libc::c_int, attributes: &mut A) -> io::Result<i32> {
    // SAFETY: `attributes` are integers whose size is told, and the kernel takes the fields that follow for zero. What some
    // of them point to are values of the callers', of the sizes that are told or that the map has, which outlive the call.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<A>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as i32) }
}
