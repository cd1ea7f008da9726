//! guard itself: the real daemon with all that it does for every packet.

use std::{
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use guard_tests::{Guard, Options};
use ipnet::IpNet;

use crate::bench::{
    pattern::PORT,
    stage::{INTERFACE, Stage},
};

/// The list's file, in the directory of the host.
pub(in crate::bench) const LIST: &str = "listed.txt";

/// Runs guard with a policy of one service and a list, and returns it with the time that it took until it enforced.
pub(in crate::bench) fn run_guard(stage: &Stage, list: &[IpNet], binary: &Path) -> anyhow::Result<(Guard, Duration)> {
    let mut text = String::new();
    for prefix in list {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{prefix}");
    }
    let list = stage.host().write(LIST, text);
    let policy = format!(
        r#"
[sets]
listed = {list:?}
[allow]
ips = ["@listed"]
[[service]]
name = "bench"
ports = ["tcp/{PORT}"]
"#
    );
    run_policy(stage, &policy, binary)
}

/// Runs guard with the policy that a part of its configuration says, and returns it with the time that it took until it enforced.
/// What stands outside that part is the same for every policy.
pub(in crate::bench) fn run_policy(stage: &Stage, policy: &str, binary: &Path) -> anyhow::Result<(Guard, Duration)> {
    let eve = stage.host().directory().join("eve.json");
    let config = format!(
        r#"
interfaces = ["{INTERFACE}"]
xdp_mode = "native"
{policy}
[log]
eve = {{ path = {eve:?} }}
"#
    );
    let start = Instant::now();
    let guard = Guard::run(stage.host(), Options { config: Some(&config), binary: Some(binary), ..Options::default() });
    let took = start.elapsed();
    let mode = &guard.status()["interfaces"][0]["xdp_mode"];
    ensure!(mode == "native", "guard is attached in mode {mode}, not in the driver");
    Ok((guard, took))
}
