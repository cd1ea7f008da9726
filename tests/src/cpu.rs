//! Which CPU a thread runs on. A packet is decided on where it is sent from, as long as that CPU keeps up.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// The CPUs that the calling thread may use.
pub fn cpus() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).expect("the kernel tells a thread's CPUs");
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).expect("the number is below the count")).collect()
}

/// Keeps the calling thread on one CPU, and so the packets that it sends: those sent from several overtake each other.
pub fn stay_on(cpu: usize) {
    let mut only = CpuSet::new();
    only.set(cpu).expect("the CPU is one of this machine");
    sched_setaffinity(Pid::from_raw(0), &only).expect("a thread may use the CPUs that it has");
}
