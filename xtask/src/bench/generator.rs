//! The generator of packets: a kernel program that writes source after source into live frames and sends them to a stage.
//!
//! It runs on one CPU, before everything else there. The kernel receives what it sends on the same CPU, between two batches, so one
//! CPU's time is all there is to measure, and no queue can overflow.

use std::{net::IpAddr, process::Command};

use anyhow::{Context as _, ensure};
use aya::{
    Ebpf,
    maps::Array,
    programs::{TestRun as _, TestRunAttrs, TestRunOptions},
};
use guard_tests::{Family, Host};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::{Pid, gettid},
};

use super::{
    object::{Object, xdp},
    sources::SOURCES,
    stage::{self, unspecified},
};
use crate::command;

const PROGRAM: &str = "generate";
/// As many as one poll of the receiving driver takes.
const BATCH: u32 = 64;
/// How many frames are looked at before any is sent.
const CHECKED: usize = 1024;
/// How often a run is timed, each time with every source once.
pub(super) const TIMED: usize = 3;
/// How many frames a run sends.
pub(super) const SENT: u64 = (1 + TIMED as u64) * SOURCES as u64;
/// Where the checksums stand in a frame, of IPv4 and of TCP in either family.
const HEADER_CHECKSUM: usize = 24;
const TCP_CHECKSUM: [usize; 2] = [50, 70];

/// A sequence of sources, loaded.
pub(super) struct Generator {
    host: Host,
    family: Family,
    ebpf: Ebpf,
}

impl Generator {
    /// Loads the sources, and checks that the frames made of the first of them are right to the byte.
    pub(super) fn load(object: &Object, host: &Host, family: Family, sources: &[IpAddr]) -> anyhow::Result<Self> {
        let mut ebpf = object.load(PROGRAM)?;
        let mut lines = Array::<_, [u32; 16]>::try_from(ebpf.map_mut("SOURCES").context("no map SOURCES")?)?;
        let words: Vec<u32> = sources.iter().flat_map(|source| words(*source)).collect();
        for (index, line) in (0..).zip(words.as_chunks().0) {
            lines.set(index, line, 0)?;
        }
        let mut generator = Self { host: host.clone(), family, ebpf };
        generator.check(&sources[..CHECKED])?;
        Ok(generator)
    }

    fn check(&mut self, sources: &[IpAddr]) -> anyhow::Result<()> {
        let frame = |source| stage::frame(source, [2; 6], [4; 6]);
        let blank = frame(unspecified(self.family));
        self.begin(&blank, None)?;
        let program = xdp(&mut self.ebpf, PROGRAM)?;
        for source in sources {
            let mut made = vec![0; blank.len()];
            let options = TestRunOptions { data_in: Some(&blank), data_out: Some(&mut made), ..TestRunOptions::new() };
            program.test_run(options)?;
            ensure!(made == frame(*source), "the generator's frame of {source} is wrong: {made:02x?}");
        }
        Ok(())
    }

    /// Sends the frame once from every source, again and again, out of the interface; without one it drops the frames itself.
    /// Returns how long a packet took on the average of every time but the first, in whole nanoseconds, as the kernel has it.
    pub(super) fn run(&mut self, frame: &[u8], interface: Option<u32>) -> anyhow::Result<[u64; TIMED]> {
        self.begin(frame, interface)?;
        let program = xdp(&mut self.ebpf, PROGRAM)?;
        let send = || -> anyhow::Result<u64> {
            let run = program.test_run(TestRunOptions {
                data_in: Some(frame),
                repeat: SOURCES as u32,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::new()
            })?;
            // The call itself takes much longer: it waits twice for RCU.
            Ok(run.duration.as_nanos() as u64)
        };
        // The kernel finds the interface in the network of the thread that asks.
        self.host.enter(|| {
            take_cpu()?;
            // Fills the caches again, which others have used since.
            send()?;
            let mut times_ns = [0; TIMED];
            for time_ns in &mut times_ns {
                *time_ns = send()?;
            }
            Ok(times_ns)
        })
    }

    /// Tells the program which frames it will get, where they go, and to begin with the first source.
    fn begin(&mut self, frame: &[u8], interface: Option<u32>) -> anyhow::Result<()> {
        // The fields of the program's `Course`.
        let course = [
            // The checksums of a frame whose source is zero are those of all but the source.
            self.family.pick(sum_before(frame, HEADER_CHECKSUM), 0),
            sum_before(frame, self.family.pick(TCP_CHECKSUM[0], TCP_CHECKSUM[1])),
            interface.unwrap_or(0),
            self.family.pick(4, 6),
            0,
        ];
        let mut courses = Array::<_, [u32; 5]>::try_from(self.ebpf.map_mut("COURSE").context("no map COURSE")?)?;
        Ok(courses.set(0, course, 0)?)
    }
}

/// An address as the numbers whose bytes, in memory, are its own.
fn words(address: IpAddr) -> Vec<u32> {
    let bytes = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    bytes.as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word)).collect()
}

/// What a checksum in a frame was made from (RFC 1071).
fn sum_before(frame: &[u8], checksum: usize) -> u32 {
    u32::from(!u16::from_ne_bytes([frame[checksum], frame[checksum + 1]]))
}

/// Binds the thread to the last of its CPUs and has it run before all ordinary threads, so that they don't interrupt what is timed.
fn take_cpu() -> anyhow::Result<()> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this)?;
    let last = (0..CpuSet::count()).rev().find(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let mut chosen = CpuSet::new();
    chosen.set(last.context("this thread may run on no CPU")?)?;
    sched_setaffinity(this, &chosen)?;
    let mut chrt = Command::new("chrt");
    chrt.args(["--reset-on-fork", "--fifo", "--pid", "1", &gettid().to_string()]);
    command::read(&mut chrt).map(drop)
}
