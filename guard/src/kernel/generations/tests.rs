//! What an install leaves behind, and installs that fail: the generation before stays in force.

use std::{
    fs,
    net::IpAddr,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use ipnet::IpNet;
use nix::sys::resource::{Resource, getrlimit};

use aya::maps::Map;

use super::*;
use crate::{
    kernel::tests::machine::{Machine, policy},
    samples::{Family, Random, Shape},
};

/// `BPF_MAP_CREATE` of bpf(2).
const MAP_CREATE: libc::c_int = 0;

/// In the policy that is in force before each failure, and in no other.
const BEFORE: &str = "192.0.2.77";
/// In the policy that comes after it.
const AFTER: &str = "198.51.100.9";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A policy whose lines go far beyond those in the head, with one more address.
fn large(address: &str) -> Policy {
    let list = Shape::EverySecond.list(Family::V6, 30_000, &mut Random::new(5));
    policy(&[list, vec![IpNet::from(ip(address))]].concat(), &[], &[])
}

/// For each failure installs a first policy, has a second one fail, and installs it in the end.
fn check<F>(failures: impl IntoIterator<Item = (F, String)> + Send)
where
    F: FnOnce(&mut Generations, &Policy, &Policy) -> InstallError,
{
    Machine::run(|machine| {
        for (fail, expected) in failures {
            let first = machine.install(large(BEFORE));
            let before = machine.in_force().cloned().unwrap();
            let error = fail(&mut machine.generations, &large(AFTER), &before);
            let error = format!("{:#}", anyhow::Error::from(error));
            assert!(error.contains(&expected), "{error}");
            assert!(machine.passes(ip(BEFORE)) && !machine.passes(ip(AFTER)), "{error}: the first policy is in force");

            assert_eq!(machine.install(large(AFTER)), first + 1);
            assert!(!machine.passes(ip(BEFORE)) && machine.passes(ip(AFTER)), "{error}: the second policy is in force");
        }
    });
}

/// Installs a policy that must fail.
fn install(generations: &mut Generations, policy: &Policy, in_force: &Policy) -> InstallError {
    generations.install(policy, Some(in_force)).expect_err("the kernel was made to refuse")
}

#[test]
fn a_map_that_the_kernel_does_not_make() {
    let fail = |generations: &mut Generations, after: &Policy, before: &Policy| {
        // The thread's own table of descriptors, filled up.
        let limit = getrlimit(Resource::RLIMIT_NOFILE).unwrap().0;
        assert!(limit <= 1 << 20, "this test needs a limit of open files of a million or less, not {limit}");
        let file = fs::File::open("/dev/null").unwrap();
        let mut copies = Vec::new();
        while let Ok(copy) = file.try_clone() {
            copies.push(copy);
        }
        install(generations, after, before)
    };
    check([(fail, "the kernel has no room for a table of".to_owned())]);
}

#[test]
fn more_lines_than_there_is_memory() {
    Machine::run(|_| {
        let memory = fs::read_to_string("/proc/meminfo").unwrap();
        let kib: u64 = memory.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap();
        assert!(kib < 256 << 20, "this test needs a machine with less than 256 GiB of memory");
        // A quarter of a TiB.
        let (count, size) = (u32::MAX as usize, size_of::<Line>());
        let error = Mapped::create("LINES", count, size, BPF_F_MMAPABLE, &[]).map(|_| ()).unwrap_err();
        assert!(matches!(error, InstallError::Create { bytes, .. } if bytes == count * size), "{error}");
        let error = format!("{:#}", anyhow::Error::from(error));
        assert!(error.contains("Cannot allocate memory"), "{error}");
    });
}

#[test]
fn a_map_that_the_kernel_does_not_take_into_a_slot() {
    let line = size_of::<Line>() as u32;
    let shapes = [(1, line, BPF_F_MMAPABLE), (3, 2 * line, BPF_F_MMAPABLE | BPF_F_INNER_MAP)];
    check(shapes.map(|(slot, value_size, flags)| {
        let fail = move |generations: &mut Generations, after: &Policy, before: &Policy| {
            let slots = std::mem::replace(&mut generations.far, slots_of_other_maps(value_size, flags));
            let error = install(generations, after, before);
            generations.far = slots;
            error
        };
        (fail, format!("the kernel refused the generation in slot {slot}"))
    }));
}

/// Returns slots that take maps of another shape only.
fn slots_of_other_maps(value_size: u32, flags: u32) -> ArrayOfMaps<MapData, MapData> {
    /// The first fields of `union bpf_attr` for `BPF_MAP_CREATE`.
    #[repr(C)]
    struct Create {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
        inner_map_fd: i32,
    }
    let inner = aya_obj::Map::new_from_params(MapType::Array as u32, 4, value_size, 7, flags);
    let inner = MapData::create(inner, "OTHER", None).unwrap();
    let create = Create {
        map_type: MapType::ArrayOfMaps as u32,
        key_size: 4,
        value_size: 4,
        max_entries: SLOTS as u32,
        map_flags: 0,
        inner_map_fd: inner.fd().as_fd().as_raw_fd(),
    };
    // SAFETY: `create` is a whole `repr(C)` value without padding whose size is told, and it names no memory.
    let outer = unsafe { libc::syscall(libc::SYS_bpf, MAP_CREATE, &raw const create, size_of::<Create>()) };
    assert!(outer >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the call answered with a descriptor that nobody else has.
    let outer = unsafe { OwnedFd::from_raw_fd(outer as i32) };
    Map::ArrayOfMaps(MapData::from_fd(outer).unwrap()).try_into().unwrap()
}

#[test]
fn a_table_that_reads_back_as_something_else() {
    check([(0, 2), (17, 4), (200, 6)].map(|(line, number)| {
        let fail = move |generations: &mut Generations, after: &Policy, _: &Policy| {
            let limits: Vec<_> = generation::limits(after).into_iter().zip(0..).collect();
            let rows = generation::limit_rows(&limits, tick_ns()).unwrap();
            let compiled = generation::compile::<&[Line]>(after, number, rows, None);
            let check = |compiled: &Compiled, kernel: &Tables| {
                flip_a_bit(&kernel.far.map, line);
                generation::read_back(after, compiled, &kernel.generation())
            };
            generations.fill(compiled, Vec::new(), check).map(drop).expect_err("a bit of the table is wrong")
        };
        (fail, format!("line {line} of generation {number} reads back as something else"))
    }));
}

/// Changes a line of a map, through a mapping of its own.
fn flip_a_bit(map: &MapData, line: usize) {
    let length = (line + 1) * size_of::<Line>();
    // SAFETY: the map has more lines than these, and its memory never shrinks.
    let mut bytes = unsafe { MmapOptions::new().len(length).map_mut(map.fd().as_fd().as_raw_fd()) }.unwrap();
    bytes[length - 1] ^= 1;
}

#[test]
fn installs_leave_nothing_behind() {
    let open_maps = || {
        let descriptors = fs::read_dir("/proc/thread-self/fd").unwrap();
        let targets = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        targets.filter(|target| target.to_string_lossy().contains("bpf-map")).count()
    };
    Machine::run(|machine| {
        let mut after_two = 0;
        for nth in 1..=50_u64 {
            assert_eq!(machine.install(large(if nth % 2 == 0 { BEFORE } else { AFTER })), nth);
            if nth == 2 {
                after_two = open_maps();
            }
            check_slots(&machine.generations);
        }
        assert!(after_two > 0);
        assert_eq!(open_maps(), after_two);
        assert!(machine.passes(ip(BEFORE)) && !machine.passes(ip(AFTER)));
    });
}

#[test]
fn what_is_prepared_is_not_in_force_and_can_be_discarded() {
    Machine::run(|machine| {
        assert_eq!(machine.install(large(BEFORE)), 1);
        let before = machine.in_force().cloned().unwrap();
        for _ in 0..2 {
            let prepared = machine.generations.prepare(&large(AFTER), Some(&before)).unwrap();
            assert!(machine.passes(ip(BEFORE)) && !machine.passes(ip(AFTER)));
            machine.generations.discard(prepared);
            check_slots(&machine.generations);
        }
        let prepared = machine.generations.prepare(&large(AFTER), Some(&before)).unwrap();
        assert_eq!(machine.generations.commit(prepared), 2);
        assert!(!machine.passes(ip(BEFORE)) && machine.passes(ip(AFTER)));
        machine.generations.free_retired();
        check_slots(&machine.generations);
    });
}

/// Checks that only the live slot holds a generation.
fn check_slots(generations: &Generations) {
    let installed = generations.installed.as_ref().unwrap();
    let id = |map: &MapData| map.info().unwrap().id();
    let Tables { head, far } = &installed.tables;
    let nothing = &generations.nothing;
    for (slots, live, nothing) in [(&generations.heads, head, &nothing.head), (&generations.far, far, &nothing.far)] {
        for slot in 0..SLOTS as u32 {
            match slots.get(&slot, 0) {
                Ok(map) if slot == installed.slot => assert_eq!(id(&map), id(&live.map), "live slot {slot}"),
                Ok(map) => assert_eq!(id(&map), id(&nothing.map), "retired slot {slot}"),
                // Never used yet.
                Err(MapError::KeyNotFound) => assert!(slot > installed.slot, "slot {slot}"),
                Err(error) => panic!("slot {slot}: {error}"),
            }
        }
    }
    assert!(installed.tables.far.bytes.len() > 1 << 16, "the policy goes far beyond the head");
}
