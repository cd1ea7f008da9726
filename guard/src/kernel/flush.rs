//! Counts that the gates hold back, fetched by running the kernel's flush program on every CPU.
//!
//! The gates are per CPU and not atomic: only a run on their own CPU, with bottom halves off as test_run has them, may
//! touch them.

use std::{sync::mpsc, thread, time::Duration};

use aya::{Ebpf, programs::Xdp, util::online_cpus};
use guard_common::{
    names,
    records::{FLUSH_SETS, FlushRequest, GATE_SETS, GATE_SHUT_MS},
};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tracing::warn;

use super::{KernelError, ask::ask, bpffs::PinDirectory};

/// What has been held for as long as a gate stays shut.
pub(crate) const FLUSH_AGE: Duration = Duration::from_millis(GATE_SHUT_MS as u64);
/// Everything.
pub(crate) const FLUSH_ALL: Duration = Duration::ZERO;

struct Request {
    age: Duration,
    done: oneshot::Sender<()>,
}

/// A thread that moves from CPU to CPU.
pub(crate) struct Flusher {
    requests: mpsc::Sender<Request>,
    /// The answer to the last request that nobody waits for.
    working: Option<oneshot::Receiver<()>>,
}

impl Flusher {
    pub(super) fn start(ebpf: &mut Ebpf, pins: &PinDirectory) -> Result<Self, KernelError> {
        let program = super::reopen_xdp(names::PROGRAM_FLUSH, ebpf, pins)?;
        let (requests, receiver) = mpsc::channel::<Request>();
        thread::Builder::new()
            .name("flush".to_owned())
            .spawn(move || {
                let mut complained = false;
                while let Ok(Request { age, done }) = receiver.recv() {
                    for error in run(&program, age) {
                        if !complained {
                            warn!("counts held back in the kernel could not all be fetched: {error}");
                            complained = true;
                        }
                    }
                    // The one who asked may have stopped waiting.
                    let _ = done.send(());
                }
            })
            .map_err(|error| KernelError::Load(error.into()))?;
        Ok(Self { requests, working: None })
    }

    /// Asks for what every gate has held for `age` or longer, unless an earlier request is still being worked on.
    pub(crate) fn ask(&mut self, age: Duration) {
        if self.working.as_mut().is_none_or(|working| working.try_recv() != Err(TryRecvError::Empty)) {
            self.working = Some(self.send(age));
        }
    }

    /// Has every gate report what it has held for `age` or longer; returns once the events are in the ring.
    pub(crate) async fn flush(&self, age: Duration) {
        // An error means that the thread is gone, and it goes only with this handle.
        let _ = self.send(age).await;
    }

    fn send(&self, age: Duration) -> oneshot::Receiver<()> {
        let (done, reported) = oneshot::channel();
        // Without the thread the sender is dropped, and the receiver told.
        let _ = self.requests.send(Request { age, done });
        reported
    }
}

/// Runs the program on every CPU that is online; returns what went wrong.
fn run(program: &Xdp, age: Duration) -> Vec<String> {
    let cpus = match online_cpus() {
        Ok(cpus) => cpus,
        Err((file, error)) => return vec![format!("{file}: {error}")],
    };
    let mut errors = Vec::new();
    for cpu in cpus {
        if let Err(error) = run_on(program, cpu, age) {
            errors.push(format!("CPU {cpu}: {error}"));
        }
    }
    errors
}

fn run_on(program: &Xdp, cpu: u32, age: Duration) -> Result<(), Box<dyn std::error::Error>> {
    let mut set = CpuSet::new();
    set.set(cpu as usize)?;
    sched_setaffinity(Pid::from_raw(0), &set)?;
    for first_set in (0..GATE_SETS as u32).step_by(FLUSH_SETS as usize) {
        ask(program, &FlushRequest { first_set, age_ms: age.as_millis() as u32 })?;
    }
    Ok(())
}
