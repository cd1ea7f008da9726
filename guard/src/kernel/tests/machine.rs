//! The program in the kernel, on a machine of its own: a thread with its own mounts, network and file descriptors.

use std::{
    net::IpAddr,
    panic, process,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use aya::{
    Ebpf,
    programs::{TestRun as _, TestRunOptions},
};
use guard_common::names;
use ipnet::IpNet;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};

use crate::{
    instance::{BPFFS, Instance},
    kernel::{Generations, KernelError, LoadOptions, bpffs::PinDirectory, load_programs, privileges, program},
    policy::{Mode, Policy, Protocol},
    samples,
};

/// The port of the policies' only service.
pub(crate) const SERVICE_PORT: u16 = 3000;

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
    /// What was installed last.
    in_force: Option<Policy>,
    ebpf: Ebpf,
    /// Goes with the machine.
    _pins: PinDirectory,
}

impl Machine {
    /// Loads the program on a thread and gives it to the test; everything ends with the thread.
    pub(crate) fn run(test: impl FnOnce(&mut Self) + Send) {
        assert!(geteuid().is_root(), "this test needs root: it loads the program into the kernel");
        let result = thread::scope(|scope| {
            let run = || {
                enter_own_namespaces();
                test(&mut Self::load().unwrap_or_else(|error| panic!("{:#}", anyhow::Error::from(error))));
            };
            scope.spawn(run).join()
        });
        result.unwrap_or_else(|panicked| panic::resume_unwind(panicked));
    }

    /// Does what [`Kernel::load`](crate::kernel::Kernel::load) does, but for what takes counts and events out.
    fn load() -> Result<Self, KernelError> {
        static LOADED: AtomicU32 = AtomicU32::new(0);
        privileges::check()?;
        let pins = PinDirectory::open(&Instance {
            name: format!("test-{}-{}", process::id(), LOADED.fetch_add(1, Ordering::Relaxed)),
            state_dir: "/nonexistent".into(),
            runtime_dir: "/nonexistent".into(),
        })?;
        let mut ebpf = load_programs(&pins, LoadOptions::default())?;
        Ok(Self { generations: Generations::take(&mut ebpf)?, in_force: None, ebpf, _pins: pins })
    }

    /// Installs a policy, as a reload does: what did not change is copied from the one before.
    pub(crate) fn install(&mut self, policy: Policy) -> u64 {
        let installed = self.generations.install(&policy, self.in_force.as_ref());
        let number = installed.unwrap_or_else(|error| panic!("{:#}", anyhow::Error::from(error)));
        self.in_force = Some(policy);
        number
    }

    /// What was installed last.
    pub(crate) fn in_force(&self) -> Option<&Policy> {
        self.in_force.as_ref()
    }

    /// Tells whether the program passes a connection attempt to the service.
    pub(crate) fn passes(&mut self, source: IpAddr) -> bool {
        let frame = syn(source);
        let program = program(&mut self.ebpf, names::PROGRAM_GUARD).expect("the program was loaded");
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        let result = program.test_run(options).unwrap_or_else(|error| panic!("run for {source}: {error}"));
        match result.return_value {
            XDP_PASS => true,
            XDP_DROP => false,
            other => panic!("{source}: the program answered {other}"),
        }
    }
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

/// An Ethernet frame with a bare SYN to the service. Checksums are the kernel's business.
fn syn(source: IpAddr) -> Vec<u8> {
    let mut frame = [[0x02; 6], [0x04; 6]].concat();
    match source {
        IpAddr::V4(source) => {
            frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
            frame.extend(source.octets());
            frame.extend([192, 0, 2, 1]);
        }
        IpAddr::V6(source) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
            frame.extend(source.octets());
            frame.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        }
    }
    frame.extend(40_000_u16.to_be_bytes());
    frame.extend(SERVICE_PORT.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}
