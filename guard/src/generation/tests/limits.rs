//! Limits compiled: which stands where, with which clock, and whom it takes for one source.

use std::{net::IpAddr, time::Duration};

use guard_common::limits::{Limits, Unit as KernelUnit, unit_bit};

use super::*;
use crate::policy::{Limit as PolicyLimit, Per, Unit};

/// Steps of the coarse clock at HZ 1000, 250, 100 and 300.
const TICKS_NS: [u64; 4] = [1_000_000, 4_000_000, 10_000_000, 3_333_333];

fn with_limits(of_first: &[PolicyLimit], of_second: &[PolicyLimit], echo_rate: Option<PolicyLimit>) -> Policy {
    let service = |name, limits: &[PolicyLimit]| Service {
        limits: limits.to_vec(),
        ..samples::service(name, &[], Mode::Enforce, &[])
    };
    let services = vec![service("first", of_first), service("second", of_second)];
    Policy { echo_rate, ..samples::policy(&[], &[], services) }
}

fn per(per: Per) -> PolicyLimit {
    PolicyLimit { per, ..samples::limit(Unit::Packets, 10, 5) }
}

#[test]
fn each_limit_stands_in_its_row_in_the_operators_order() {
    let [connections, bytes, packets] =
        [Unit::Connections, Unit::Bytes, Unit::Packets].map(|unit| samples::limit(unit, 100, 10));
    let echo = samples::limit(Unit::Packets, 10, 20);
    let policy = with_limits(&[connections, bytes, packets, bytes], &[], Some(echo));
    let compiled = compile_anew(&policy);
    let units = |limits| {
        let generation = read(&compiled);
        let row = generation.limits(limits);
        (row.map(|limit| limit.unit), row.map(|limit| limit.units))
    };
    let bits = unit_bit(KernelUnit::Connections) | unit_bit(KernelUnit::Bytes) | unit_bit(KernelUnit::Packets);
    assert_eq!(units(Limits::Service(1)), ([3, 2, 1, 2], [bits, 0, 0, 0]));
    assert_eq!(units(Limits::Service(2)), ([0; 4], [0; 4]));
    assert_eq!(units(Limits::Echo), ([4, 0, 0, 0], [unit_bit(KernelUnit::EchoRequests), 0, 0, 0]));
    assert_eq!(units(Limits::Errors), ([5, 0, 0, 0], [unit_bit(KernelUnit::Errors), 0, 0, 0]));
    assert_eq!(read_back(&policy, &compiled, &read(&compiled)), Ok(()));
}

#[test]
fn no_two_limits_are_taken_for_the_same() {
    let limit = samples::limit(Unit::Packets, 100, 10);
    let others = [
        PolicyLimit { unit: Unit::Bytes, ..limit },
        samples::limit(Unit::Packets, 101, 10),
        samples::limit(Unit::Packets, 100, 11),
        PolicyLimit { window: Duration::from_millis(1_001), ..limit },
        PolicyLimit { per: Per::Service, ..limit },
        PolicyLimit { per: Per::Prefix { v4: 31, v6: 64 }, ..limit },
        PolicyLimit { per: Per::Prefix { v4: 32, v6: 63 }, ..limit },
    ];
    for other in others {
        let [_, first, second] = limits(&with_limits(&[limit, other], &[], None)).try_into().unwrap();
        assert_ne!(first, second, "{other}");
    }
    let [_, first, second, third, elsewhere] =
        limits(&with_limits(&[limit, limit, limit], &[limit], None)).try_into().unwrap();
    assert_eq!([first.nth, second.nth, third.nth, elsewhere.nth], [0, 1, 2, 0], "equal limits");
    assert_eq!([first.row, third.row, elsewhere.row], [1, 1, 2]);
}

#[test]
fn sources_are_told_apart_by_the_bits_that_the_operator_names() {
    let mapped: IpAddr = "::ffff:255.255.255.255".parse().unwrap();
    let Address { low: mapped, .. } = mapped.into();
    for (v4, v6, last_v4, last_v6) in [
        (32, 64, 0, u128::MAX >> 64),
        (24, 56, 0xff, u128::MAX >> 56),
        (0, 0, u32::MAX, u128::MAX),
        (1, 1, u32::MAX >> 1, u128::MAX >> 1),
        (31, 128, 1, 0),
        (16, 65, 0xffff, u128::MAX >> 65),
    ] {
        let compiled = compile_anew(&with_limits(&[per(Per::Prefix { v4, v6 })], &[], None));
        let [Limit { mask_v4, mask_v6: [high, low], per_service, .. }, ..] =
            *read(&compiled).limits(Limits::Service(1));
        assert_eq!(mask_v4, mapped - u64::from(last_v4), "/{v4}");
        assert_eq!(u128::from(high) << 64 | u128::from(low), !last_v6, "/{v6}");
        assert_eq!(per_service, 0);
    }
    let compiled = compile_anew(&with_limits(&[per(Per::Service)], &[], None));
    assert_eq!(read(&compiled).limits(Limits::Service(1))[0].per_service, 1);
}

#[test]
fn only_bursts_of_under_four_ticks_take_a_precise_clock() {
    for tick_ns in TICKS_NS {
        // The burst, and so the tick, at one cell an interval of 1 us.
        let ticks = |quarters: u64| (quarters * tick_ns).div_ceil(4 * 1_000);
        for (name, cells, precise) in [
            ("one cell", 1, true),
            ("just under four ticks", ticks(16) - 1, true),
            ("four ticks", ticks(16), false),
            ("a second", 1_000_000, false),
        ] {
            let limit = samples::limit(Unit::Packets, 1_000_000, cells - 1);
            let limits: Vec<_> = limits(&with_limits(&[limit], &[], None)).into_iter().zip(0..).collect();
            let [compiled, ..] = limit_rows(&limits, tick_ns).unwrap()[1];
            assert_eq!(compiled.precise != 0, precise, "{name} at {tick_ns} ns");
            // A second is as long by either clock, within what a step's length is rounded by.
            let cells_in_a_second = |steps| compiled.rate.time(steps) / compiled.rate.cell;
            let in_a_second = cells_in_a_second(if precise { 1_000_000_000 } else { 1_000_000_000 / tick_ns + 1 });
            assert!(in_a_second.abs_diff(1_000_000) <= 10_001, "{name} at {tick_ns} ns: {in_a_second} cells");
        }
    }
}

#[test]
fn a_limit_that_no_clock_measures_is_refused() {
    let rows = |limit: PolicyLimit| {
        limit_rows(&limits(&with_limits(&[limit], &[], None)).into_iter().zip(0..).collect::<Vec<_>>(), 4_000_000)
    };
    assert!(rows(samples::limit(Unit::Bytes, 1 << 33, 0)).is_ok());
    let error = rows(samples::limit(Unit::Bytes, (1 << 33) + 1, 7)).unwrap_err().to_string();
    assert_eq!(
        error,
        "a limit of 8589934593 in 1000 ms, burst 7: at most 2^33 a second can be counted, and bursts below 2^61"
    );
}

#[test]
fn a_compiler_that_forgets_or_confuses_limits_is_found_out() {
    let [connections, bytes] = [Unit::Connections, Unit::Bytes].map(|unit| samples::limit(unit, 100, 10));
    let wanted = with_limits(&[connections, bytes], &[connections], None);
    let error = |written: &Policy| {
        let compiled = compile_anew(written);
        read_back(&wanted, &compiled, &read(&compiled)).unwrap_err()
    };
    for (name, written, row, read, expected) in [
        ("one less", with_limits(&[connections], &[connections], None), 1, vec![3], vec![3, 2]),
        ("another order", with_limits(&[bytes, connections], &[connections], None), 1, vec![2, 3], vec![3, 2]),
        ("another service's", with_limits(&[connections, bytes], &[], None), 2, vec![], vec![3]),
        ("one too many", with_limits(&[connections, bytes], &[connections], Some(bytes)), 0, vec![4], vec![]),
    ] {
        assert_eq!(error(&written), ReadBackError::Limits { row, read, expected }, "{name}");
    }
    let places = [0, 1, 7, 7].into_iter();
    let rows = limit_rows(&limits(&wanted).into_iter().zip(places).collect::<Vec<_>>(), 4_000_000).unwrap();
    let compiled = compile::<&[Line]>(&wanted, 1, rows, None);
    assert_eq!(read_back(&wanted, &compiled, &read(&compiled)), Err(ReadBackError::SharedPlace { place: 7 }));
}
