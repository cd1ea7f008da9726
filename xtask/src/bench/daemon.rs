//! How busy guard's daemon is while packets are blocked, on whichever CPU. The nanoseconds of a packet don't have it in them: where
//! packets are timed, the generator runs before it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use guard_tests::Family;
use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

use super::{
    contender::run_guard,
    generator::{Addresses, Generator, SENT},
    list::{self, Entries},
    object::Object,
    pattern::Pattern,
    scene::generator_host,
    sources::{self, Mix},
    stage::Stage,
};

const LENGTH: usize = 1_000;
/// Some turns of all that the daemon does every second or more often.
const ATTACK: Duration = Duration::from_secs(5);

/// The daemon's share of a second, and what it was busy with.
pub(super) struct Busy {
    pub(super) cpu_ms_per_s: f64,
    /// How many packets were blocked.
    pub(super) packets_per_s: f64,
}

/// Has guard block packets from sources outside its list without end, and counts the CPU time of its daemon.
pub(super) fn measure(object: &Object, binary: &Path) -> anyhow::Result<Busy> {
    let list = list::list(Family::V4, Entries::Prefixes, LENGTH);
    let host = generator_host();
    let stage = Stage::new(&host, "wire")?;
    let strangers = sources::sources(Family::V4, &list, Mix::Unlisted);
    let mut generator = Generator::load(object, &host, Pattern::to_service(Family::V4), Addresses::Table(&strangers))?;
    let (mut guard, _) = run_guard(&stage, &list, binary)?;
    let clock = clock_getcpuclockid(Pid::from_raw(guard.process().id().try_into()?))?;
    let cpu_time = || clock_gettime(clock).map(Duration::from);

    stage.passed()?;
    let mut sent = 0;
    let start = Instant::now();
    let cpu_time_before = cpu_time()?;
    while start.elapsed() < ATTACK {
        generator.run(Some(stage.wire()))?;
        sent += SENT;
    }
    let used = cpu_time()? - cpu_time_before;
    let elapsed_s = start.elapsed().as_secs_f64();
    let passed = stage.passed()?;
    ensure!(passed == 0, "guard let {passed} of {sent} packets through that it should block");
    Ok(Busy { cpu_ms_per_s: used.as_secs_f64() * 1e3 / elapsed_s, packets_per_s: sent as f64 / elapsed_s })
}
