//! `guard down`: the end of enforcement.

use std::{thread, time::Duration};

use anyhow::{Context as _, bail};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{control::daemon_pid, instance::Instance, kernel::remove_pins};

/// How long a daemon may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

const STEP: Duration = Duration::from_millis(50);

/// Ends a running daemon, then takes the program and its tables out of the kernel; returns what it did.
pub(crate) fn down(instance: &Instance) -> anyhow::Result<String> {
    if let Some(pid) = daemon_pid(instance) {
        end(pid)?;
    }
    let removed = remove_pins(instance)?;
    Ok(match removed {
        true => format!("guard instance `{}` is down: nothing is guarded by it any more", instance.name),
        false => format!("guard instance `{}` was not up: nothing to remove", instance.name),
    })
}

fn end(pid: Pid) -> anyhow::Result<()> {
    kill(pid, Signal::SIGTERM).with_context(|| format!("ending the daemon, process {pid}"))?;
    for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
        if kill(pid, None) == Err(Errno::ESRCH) {
            return Ok(());
        }
        thread::sleep(STEP);
    }
    bail!("the daemon, process {pid}, does not end: its program still enforces; end it with `kill -KILL {pid}` and try again")
}
