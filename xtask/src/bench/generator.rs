//! The generator of packets: a kernel program that writes address after address into live frames and sends them to a stage.
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
use guard_tests::{Host, Link};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::{Pid, gettid},
};

use super::{
    crowd::Crowd,
    object::{Object, xdp},
    pattern::{Pattern, Peer},
    sources::SOURCES,
};
use crate::command;

const PROGRAM: &str = "generate";
/// As many as one poll of the receiving driver takes.
const BATCH: u32 = 64;
/// How many frames are looked at before any is sent.
const CHECKED: u32 = 1024;
/// How often a run is timed, each time with [`SOURCES`] frames.
pub(super) const TIMED: usize = 3;
/// How many frames a run sends.
pub(super) const SENT: u64 = (1 + TIMED as u64) * SOURCES as u64;
/// Where the checksums stand in a frame, of IPv4 and of TCP in either family.
const HEADER_CHECKSUM: usize = 24;
const TCP_CHECKSUM: [usize; 2] = [50, 70];

/// The addresses of the packets' peers, in the order of the packets.
#[derive(Clone, Copy)]
pub(super) enum Addresses<'a> {
    /// Each of [`SOURCES`], again and again.
    Table(&'a [IpAddr]),
    /// Each member, again and again; those of a large one take more than one run.
    Crowd(Crowd),
}

impl Addresses<'_> {
    fn of_packet(&self, number: u32) -> IpAddr {
        match self {
            Self::Table(addresses) => addresses[number as usize % SOURCES],
            Self::Crowd(crowd) => crowd.member(number),
        }
    }
}

/// Packets of one pattern and their addresses, loaded.
pub(super) struct Generator {
    host: Host,
    pattern: Pattern,
    crowd: Option<Crowd>,
    /// The number of the next packet.
    next: u32,
    ebpf: Ebpf,
}

impl Generator {
    /// Loads the addresses, and checks that the frames made of the first of them are right to the byte.
    pub(super) fn load(
        object: &Object,
        host: &Host,
        pattern: Pattern,
        addresses: Addresses<'_>,
    ) -> anyhow::Result<Self> {
        let mut ebpf = object.load(PROGRAM)?;
        let mut crowd = None;
        match addresses {
            Addresses::Crowd(members) => crowd = Some(members),
            Addresses::Table(addresses) => {
                let mut lines = Array::<_, [u32; 16]>::try_from(ebpf.map_mut("SOURCES").context("no map SOURCES")?)?;
                let words: Vec<u32> = addresses.iter().flat_map(|address| words(*address)).collect();
                for (index, line) in (0..).zip(words.as_chunks().0) {
                    lines.set(index, line, 0)?;
                }
            }
        }
        let mut generator = Self { host: host.clone(), pattern, crowd, next: 0, ebpf };
        generator.check(addresses)?;
        Ok(generator)
    }

    fn check(&mut self, addresses: Addresses<'_>) -> anyhow::Result<()> {
        let (sender, receiver) = ([2; 6], [4; 6]);
        let blank = self.pattern.blank_frame(sender, receiver);
        self.begin(&blank, 0)?;
        let program = xdp(&mut self.ebpf, PROGRAM)?;
        for number in 0..CHECKED {
            let address = addresses.of_packet(number);
            let mut made = vec![0; blank.len()];
            let options = TestRunOptions { data_in: Some(&blank), data_out: Some(&mut made), ..TestRunOptions::new() };
            program.test_run(options)?;
            let right = self.pattern.frame(address, sender, receiver);
            ensure!(made == right, "the generator's frame of {address} is wrong: {made:02x?}");
        }
        Ok(())
    }

    /// Sends [`SENT`] frames from the left end of a wire; without one it drops the frames itself. Returns how long a packet took
    /// on the average of every time but the first, in whole nanoseconds, as the kernel has it.
    pub(super) fn run(&mut self, wire: Option<&Link>) -> anyhow::Result<[u64; TIMED]> {
        let (sender, receiver) = wire.map_or(([2; 6], [4; 6]), |wire| (wire.left.mac(), wire.right.mac()));
        let frame = self.pattern.blank_frame(sender, receiver);
        self.begin(&frame, wire.map_or(0, |wire| wire.left.index()))?;
        let program = xdp(&mut self.ebpf, PROGRAM)?;
        let send = || -> anyhow::Result<u64> {
            let run = program.test_run(TestRunOptions {
                data_in: Some(&frame),
                repeat: SOURCES as u32,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::new()
            })?;
            // The call itself takes much longer: it waits twice for RCU.
            Ok(run.duration.as_nanos() as u64)
        };
        // The kernel finds the interface in the network of the thread that asks.
        let times_ns = self.host.enter(|| {
            take_cpu()?;
            // Fills the caches again, which others have used since.
            send()?;
            let mut times_ns = [0; TIMED];
            for time_ns in &mut times_ns {
                *time_ns = send()?;
            }
            anyhow::Ok(times_ns)
        })?;
        self.next = self.next.wrapping_add(SENT as u32);
        Ok(times_ns)
    }

    /// Tells the program which frames it will get, where they go (0: nowhere), and which packet is next.
    fn begin(&mut self, frame: &[u8], interface: u32) -> anyhow::Result<()> {
        let Pattern { family, peer, .. } = self.pattern;
        // The fields of the program's `Course`. The checksums of a frame one of whose addresses is zero are those of the rest.
        let mut course = [0; 12];
        course[..6].copy_from_slice(&[
            family.pick(sum_before(frame, HEADER_CHECKSUM), 0),
            sum_before(frame, family.pick(TCP_CHECKSUM[0], TCP_CHECKSUM[1])),
            interface,
            family.pick(4, 6),
            self.next,
            u32::from(peer == Peer::Destination),
        ]);
        if let Some(crowd) = &self.crowd {
            course[6..8].copy_from_slice(&[crowd.number_mask(), crowd.host_mask()]);
            let common = words(crowd.common());
            course[8..][..common.len()].copy_from_slice(&common);
        }
        let mut courses = Array::<_, [u32; 12]>::try_from(self.ebpf.map_mut("COURSE").context("no map COURSE")?)?;
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
