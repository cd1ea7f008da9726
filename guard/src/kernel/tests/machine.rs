//! The program in the kernel, on a machine of its own: a thread with its own mounts, network and file descriptors.

use std::{
    net::IpAddr,
    os::fd::{AsFd as _, BorrowedFd},
    panic, process,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use aya::{
    Ebpf,
    maps::{Map, RingBuf},
    programs::{TestRun as _, TestRunOptions, Xdp, XdpMode},
};
use guard_common::{connections::Violation, names, policy::Reason};
use ipnet::IpNet;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};
use zerocopy::FromBytes as _;

use super::frames::{SERVICE_PORT, Sent};
use crate::{
    instance::{BPFFS, Instance},
    kernel::{
        Connections, Counters, Egress, Flows, Generations, KernelError, LoadOptions, Sockets, State, TimedTables, Used,
        bpffs::PinDirectory, load_programs, privileges,
    },
    policy::{Mode, Policy, Protocol},
    samples,
};

/// Answers of an XDP program (linux/bpf.h).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

/// A policy whose only service is at [`SERVICE_PORT`].
pub(crate) fn policy(allow: &[IpNet], deny: &[IpNet], service: &[IpNet]) -> Policy {
    let port = samples::port(Protocol::Tcp, SERVICE_PORT);
    samples::policy(allow, deny, vec![samples::service("service", &[port], Mode::Enforce, service)])
}

/// The program, loaded as the daemon loads it, with no policy yet and attached to nothing.
pub(crate) struct Machine {
    pub(crate) generations: Generations,
    pub(crate) connections: Connections,
    pub(crate) counters: Counters,
    pub(crate) egress: Egress,
    pub(crate) flows: Flows,
    pub(crate) sockets: Sockets,
    /// What is still being taken over from the machine before.
    pub(crate) state: Option<State>,
    pub(crate) timed: TimedTables,
    pub(crate) used: Used,
    /// What was installed last.
    in_force: Option<Policy>,
    ebpf: Ebpf,
    instance: Instance,
    /// Goes with the machine, unless another has it now.
    pub(crate) pins: Option<PinDirectory>,
}

impl Machine {
    /// Loads the program on a thread and gives it to the test; everything ends with the thread.
    pub(crate) fn run(test: impl FnOnce(&mut Self) + Send) {
        in_own_namespaces(|| test(&mut Self::instance()));
    }

    /// Does so with no other capabilities than guard asks for.
    pub(crate) fn run_unprivileged(test: impl FnOnce(&mut Self) + Send) {
        in_own_namespaces(|| {
            keep_guards_capabilities();
            test(&mut Self::instance());
        });
    }

    /// Loads the program as a guard of a name of its own, beside any that this thread has loaded.
    pub(crate) fn instance() -> Self {
        static LOADED: AtomicU32 = AtomicU32::new(0);
        let mut machine = Self::load(Instance {
            name: format!("test-{}-{}", process::id(), LOADED.fetch_add(1, Ordering::Relaxed)),
            state_dir: "/nonexistent".into(),
            runtime_dir: "/nonexistent".into(),
        });
        machine.take_hold();
        machine
    }

    fn load(instance: Instance) -> Self {
        Self::try_load(instance).unwrap_or_else(|error| panic!("{:#}", anyhow::Error::from(error)))
    }

    /// Does what [`Kernel::load`](crate::kernel::Kernel::load) does, but for what takes events out.
    fn try_load(instance: Instance) -> Result<Self, KernelError> {
        privileges::check()?;
        let pins = PinDirectory::open(&instance)?;
        let (mut ebpf, state) = load_programs(&pins, LoadOptions::default())?;
        Ok(Self {
            generations: Generations::take(&mut ebpf)?,
            connections: Connections::take(&mut ebpf, &pins)?,
            counters: Counters::take(&mut ebpf)?,
            egress: Egress::open(&mut ebpf, &pins)?,
            flows: Flows::take(&mut ebpf)?,
            sockets: Sockets::open(&mut ebpf, &pins)?,
            used: Used::take(&mut ebpf, state.since(names::USED))?,
            timed: TimedTables::take(&mut ebpf)?,
            state: Some(state),
            in_force: None,
            ebpf,
            instance,
            pins: Some(pins),
        })
    }

    /// Loads the program once more over the same pins, as the next run does. Returns the one before, which goes on deciding.
    pub(crate) fn restart(&mut self) -> Self {
        let before = self.begin_restart();
        self.take_hold();
        before
    }

    /// Does so up to where the next run attaches.
    pub(crate) fn begin_restart(&mut self) -> Self {
        let mut pins = self.pins.take().expect("nobody else has the pins");
        pins.keep();
        drop(pins);
        std::mem::replace(self, Self::load(self.instance.clone()))
    }

    /// Does what the next run does once it is attached.
    pub(crate) fn take_hold(&mut self) {
        let state = self.state.take().expect("it did not take hold yet");
        state.finish().unwrap_or_else(|error| panic!("{:#}", anyhow::Error::from(error)));
    }

    /// Ends, and loads the program again for what its pins hold.
    pub(crate) fn restarted(mut self) -> Self {
        drop(self.restart());
        self
    }

    /// Installs a policy, as a reload does: what did not change is copied from the one before.
    pub(crate) fn install(&mut self, policy: Policy) -> u64 {
        let installed = self.generations.install(&policy, self.in_force.as_ref());
        let number = installed.unwrap_or_else(|error| panic!("{:#}", anyhow::Error::from(error)));
        self.generations.free_retired();
        self.in_force = Some(policy);
        number
    }

    /// What was installed last.
    pub(crate) fn in_force(&self) -> Option<&Policy> {
        self.in_force.as_ref()
    }

    /// Tells whether the program passes a connection attempt to the service.
    pub(crate) fn passes(&self, source: IpAddr) -> bool {
        self.lets_in(Sent::Syn, source)
    }

    /// Tells whether the program passes a packet.
    pub(crate) fn lets_in(&self, sent: Sent, source: IpAddr) -> bool {
        match self.send(sent, source, 1) {
            XDP_PASS => true,
            XDP_DROP => false,
            other => panic!("{sent:?} from {source}: the program answered {other}"),
        }
    }

    /// Has the program decide on a packet so many times, on this CPU; returns its last answer.
    pub(crate) fn send(&self, sent: Sent, source: IpAddr, times: u32) -> u32 {
        let frame = sent.frame(source);
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        options.repeat = times;
        let result = self.program().test_run(options).unwrap_or_else(|error| panic!("{sent:?} from {source}: {error}"));
        result.return_value
    }

    /// Attaches the program to an interface of this thread's network, for as long as the machine lives.
    pub(crate) fn attach(&mut self, index: u32) {
        let program = self.ebpf.program_mut(names::PROGRAM_GUARD).expect("the program was loaded");
        let program: &mut Xdp = program.try_into().expect("an XDP program");
        program.attach_to_if_index(index, XdpMode::Driver).expect("the driver takes XDP programs");
    }

    /// Returns the program that decides.
    pub(crate) fn program(&self) -> &Xdp {
        let program = self.ebpf.program(names::PROGRAM_GUARD).expect("the program was loaded");
        program.try_into().expect("an XDP program")
    }

    /// Returns a table that nobody has taken out.
    pub(crate) fn map(&self, name: &str) -> BorrowedFd<'_> {
        match self.ebpf.map(name).expect("the object has it") {
            Map::LruHashMap(map) | Map::HashMap(map) | Map::RingBuf(map) => map.fd().as_fd(),
            other => panic!("{name} is {other:?}"),
        }
    }

    /// Takes out what the program has told of violations.
    pub(crate) fn violations(&mut self) -> Vec<Violation> {
        let mut ring = RingBuf::try_from(self.ebpf.map_mut(names::VIOLATIONS).expect("the object has it")).unwrap();
        let mut violations = Vec::new();
        while let Some(record) = ring.next() {
            violations.push(Violation::read_from_bytes(&record).unwrap());
        }
        violations
    }

    /// Returns how many packets were counted for a reason.
    pub(crate) fn counted(&self, reason: Reason) -> u64 {
        let totals = self.counters.decisions().unwrap();
        totals.iter().filter(|total| total.reason == reason).map(|total| total.count.packets).sum()
    }
}

/// Runs a test on a thread with mounts, a network and file descriptors of its own.
pub(crate) fn in_own_namespaces(test: impl FnOnce() + Send) {
    assert!(geteuid().is_root(), "this test needs root: it loads the program into the kernel");
    let run = || {
        enter_own_namespaces();
        test();
    };
    let result = thread::scope(|scope| scope.spawn(run).join());
    result.unwrap_or_else(|panicked| panic::resume_unwind(panicked));
}

/// Leaves the process' mounts, network and file descriptors, for good.
fn enter_own_namespaces() {
    // SAFETY: the call takes numbers only. It gives the thread a table of descriptors of its own without those from 3 on,
    // so it closes none that other threads use, and this thread has none.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE) };
    assert_eq!(closed, 0, "leave the descriptors: {}", std::io::Error::last_os_error());
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).expect("new namespaces");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("mounts of one's own");
    mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), Some("mode=0700")).expect("a bpf file system");
}

/// Leaves the thread the capabilities that guard asks for, for good.
fn keep_guards_capabilities() {
    /// `struct __user_cap_header_struct` and `struct __user_cap_data_struct` of linux/capability.h, in their third version.
    const VERSION: u32 = 0x2008_0522;
    let header = [VERSION, 0];
    let guards = 1_u64 << privileges::CAP_NET_ADMIN | 1 << privileges::CAP_PERFMON | 1 << privileges::CAP_BPF;
    let [low, high] = [guards as u32, (guards >> 32) as u32];
    // Effective, permitted and inheritable ones, the low halves first.
    let sets = [low, low, 0, high, high, 0];
    // SAFETY: the call reads a header and, in this version, twice three words; without a thread's number it is this thread's.
    let set = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    assert_eq!(set, 0, "drop capabilities: {}", std::io::Error::last_os_error());
}
