//! What connections are held to, compiled, and which limits lead to bans.

use std::{num::NonZeroU32, time::Duration};

use super::*;
use crate::policy::{Limit as PolicyLimit, Per, Unit};

/// A service that bans for its limits, or would if it were enforced.
fn banning(mode: Mode, limits: &[PolicyLimit]) -> Service {
    let connections = ConnectionPolicy { ban: Some(samples::ban()), ..ConnectionPolicy::default() };
    Service { limits: limits.to_vec(), connections, ..samples::service("banning", &[], mode, &[]) }
}

#[test]
fn only_limits_that_prove_something_lead_to_bans() {
    let [connections, packets] = [Unit::Connections, Unit::Packets].map(|unit| samples::limit(unit, 100, 10));
    let per = |per| PolicyLimit { per, ..connections };
    let limits = [connections, packets, per(Per::Service), per(Per::Prefix { v4: 24, v6: 48 })];
    let [unbanned, mut long] = [Mode::Enforce, Mode::Enforce].map(|mode| banning(mode, &limits));
    long.limits = vec![per(Per::Prefix { v4: 32, v6: 65 })];
    let unbanned = Service { connections: ConnectionPolicy::default(), ..unbanned };
    let services = vec![banning(Mode::Enforce, &limits), banning(Mode::Monitor, &limits), unbanned, long];
    let policy = samples::policy(&[], &[], services);
    let compiled = compile_anew(&policy);
    let kernel = read(&compiled);
    for (name, service, proves, tracked, bans) in [
        ("enforced", 1, [1, 0, 0, 1], 1, 1),
        ("monitored", 2, [0; 4], 1, 0),
        ("without a ban", 3, [0; 4], 0, 0),
        ("of too long prefixes", 4, [0; 4], 1, 0),
    ] {
        assert_eq!(kernel.limits(Limits::Service(service)).map(|limit| limit.proves), proves, "{name}");
        let Caps { tracked: is_tracked, bans: can_ban, .. } = *kernel.caps(service);
        assert_eq!((is_tracked, can_ban), (tracked, bans), "{name}");
    }
    assert_eq!(read_back(&policy, &compiled, &kernel), Ok(()));
    // A ban changes nothing of what a limit is, so that debts stay.
    let without = samples::policy(
        &[],
        &[],
        vec![Service { connections: ConnectionPolicy::default(), ..banning(Mode::Enforce, &limits) }],
    );
    let with = samples::policy(&[], &[], vec![banning(Mode::Enforce, &limits)]);
    assert_eq!(super::limits(&with), super::limits(&without));
}

#[test]
fn caps_stand_with_their_service() {
    let capped = |max, max_per_source, idle_timeout| {
        let connections = ConnectionPolicy {
            max: NonZeroU32::new(max),
            max_per_source: NonZeroU32::new(max_per_source),
            idle_timeout,
            ban: None,
        };
        Service { connections, ..samples::service("capped", &[], Mode::Enforce, &[]) }
    };
    let services = vec![capped(100, 20, None), capped(0, 0, Some(Duration::from_secs(5))), capped(0, 0, None)];
    let policy = samples::policy(&[], &[], services);
    let compiled = compile_anew(&policy);
    let nothing = Caps::default();
    for (service, expected) in [
        (0, nothing),
        (1, Caps { tracked: 1, max: 100, max_per_source: 20, bans: 0 }),
        (2, Caps { tracked: 1, ..nothing }),
        (3, nothing),
        (63, nothing),
    ] {
        assert_eq!(*read(&compiled).caps(service), expected, "service {service}");
    }
    assert_eq!(read_back(&policy, &compiled, &read(&compiled)), Ok(()));
}

#[test]
fn a_compiler_that_forgets_or_confuses_connections_is_found_out() {
    let connections = samples::limit(Unit::Connections, 100, 10);
    let wanted = samples::policy(&[], &[], vec![banning(Mode::Enforce, &[connections, connections])]);
    let error = |change: &dyn Fn(&mut Head)| {
        let mut broken = compile_anew(&wanted);
        change(&mut broken.head);
        read_back(&wanted, &broken, &read(&broken)).unwrap_err()
    };
    let expected = Caps { tracked: 1, bans: 1, ..Caps::default() };
    assert_eq!(
        error(&|head| head.caps[1] = Caps::default()),
        ReadBackError::Caps { number: 1, read: Caps::default(), expected }
    );
    assert_eq!(error(&|head| head.caps.swap(1, 2)), ReadBackError::Caps { number: 1, read: Caps::default(), expected });
    assert_eq!(
        error(&|head| head.caps[9] = expected),
        ReadBackError::Caps { number: 9, read: expected, expected: Caps::default() }
    );
    assert_eq!(error(&|head| head.limits[1][1].proves = 0), ReadBackError::Proves { number: 1, nth: 1 });
    assert_eq!(error(&|head| head.limits[0][0].proves = 1), ReadBackError::Proves { number: 0, nth: 0 });
}
