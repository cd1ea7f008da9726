//! `guard down`: the end of enforcement.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    control::daemon_pid,
    instance::Instance,
    kernel::{KernelError, remove_pins},
};

/// How long a daemon may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

const STEP: Duration = Duration::from_millis(50);

/// Ends a running daemon, then takes the program and its tables out of the kernel; returns what it did.
pub(crate) fn down(instance: &Instance) -> anyhow::Result<String> {
    let removed = match daemon_pid(instance) {
        Some(pid) => {
            end(pid)?;
            remove_after(pid, instance)?
        }
        None => remove_pins(instance)?,
    };
    Ok(match removed {
        true => format!("guard instance `{}` is down: nothing is guarded by it any more", instance.name),
        false => format!("guard instance `{}` was not up: nothing to remove", instance.name),
    })
}

fn end(pid: Pid) -> anyhow::Result<()> {
    match kill(pid, Signal::SIGTERM) {
        // It ended by itself in the meantime.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("ending the daemon, process {pid}")),
    }
}

/// Removes the pins once the daemon has let go of them. Its process may stay for longer, where no parent waits for it.
fn remove_after(pid: Pid, instance: &Instance) -> anyhow::Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match remove_pins(instance) {
            Err(KernelError::AlreadyRunning { .. }) if Instant::now() < deadline => thread::sleep(STEP),
            Err(KernelError::AlreadyRunning { .. }) => bail!(
                "the daemon, process {pid}, does not end: its program still enforces; end it with `kill -KILL {pid}` \
                 and try again"
            ),
            other => return Ok(other?),
        }
    }
}
