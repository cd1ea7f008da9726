//! The limits of a generation: what they are, in which row each stands, and where its buckets are.

use guard_common::{
    bucket::Rate,
    limits::{LIMIT_ROWS, LIMITS_MAX, Limit, Limits, Unit},
    records::LimitPlace,
};
use thiserror::Error;

use crate::policy::{self, Per, Policy};

/// Rows of limits, as [`Head`](guard_common::generation::Head) has them.
pub(crate) type LimitRows = [[Limit; LIMITS_MAX]; LIMIT_ROWS];

/// A bucket that is full again within fewer steps of the coarse clock takes the precise one: its cells would come in clumps.
const COARSE_STEPS: u128 = 4;

const NS_PER_MS: u64 = 1_000_000;

/// What makes an IPv4 address one, in its mapped form.
const MAPPED: u64 = 0xffff << 32;

/// A limit beyond what a [`Rate`] can hold.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "a limit of {limit} in {window_ms} ms, burst {burst}: at most 2^33 a second can be counted, and bursts below 2^61"
)]
pub(crate) struct TooFast {
    limit: u64,
    window_ms: u64,
    burst: u64,
}

/// ICMP errors that a source may send: more than any router has cause to.
const ERRORS: LimitPlace = LimitPlace {
    limit: 1_000,
    window_ms: 1_000,
    burst: 1_000,
    row: Limits::Errors.row() as u8,
    nth: 0,
    unit: Unit::Errors as u8,
    per_service: 0,
    v4_bits: 32,
    v6_bits: 64,
    reserved: [0; 2],
};

/// Returns all limits of a policy by what tells one from another; those of a service in the operator's order.
pub(crate) fn limits(policy: &Policy) -> Vec<LimitPlace> {
    let echo = policy.echo_rate.iter().map(|limit| identity(Limits::Echo, Unit::EchoRequests, limit));
    let mut limits: Vec<LimitPlace> = echo.chain([ERRORS]).collect();
    for service in &policy.services {
        let first = limits.len();
        for limit in &service.limits {
            let mut identity = identity(Limits::Service(service.number), kernel_unit(limit.unit), limit);
            while limits[first..].contains(&identity) {
                identity.nth += 1;
            }
            limits.push(identity);
        }
    }
    limits
}

/// Compiles limits, each with its place. A step of the coarse clock takes `tick_ns`.
pub(crate) fn limit_rows(limits: &[(LimitPlace, u16)], tick_ns: u64) -> Result<LimitRows, TooFast> {
    let mut rows = [[Limit::default(); LIMITS_MAX]; LIMIT_ROWS];
    for (identity, place) in limits {
        let row = &mut rows[usize::from(identity.row)];
        let free = row.iter_mut().find(|limit| limit.unit == 0).expect("a policy has no more limits than a row");
        *free = compile(identity, *place, tick_ns)?;
        row[0].units |= 1 << identity.unit;
    }
    Ok(rows)
}

fn compile(identity: &LimitPlace, place: u16, tick_ns: u64) -> Result<Limit, TooFast> {
    let LimitPlace { limit, window_ms, burst, unit, per_service, v4_bits, v6_bits, .. } = *identity;
    let window_ns = window_ms * NS_PER_MS;
    let is_short =
        (u128::from(burst) + 1) * u128::from(window_ns) < COARSE_STEPS * u128::from(tick_ns) * u128::from(limit);
    let step_ns = if is_short { 1 } else { tick_ns };
    Ok(Limit {
        rate: Rate::new(limit, window_ns, burst, step_ns).ok_or(TooFast { limit, window_ms, burst })?,
        mask_v4: MAPPED | u64::from(!(u32::MAX.checked_shr(v4_bits.into()).unwrap_or(0))),
        mask_v6: halves(!(u128::MAX.checked_shr(v6_bits.into()).unwrap_or(0))),
        place,
        unit,
        units: 0,
        per_service,
        precise: is_short.into(),
        proves: 0,
        reserved: 0,
    })
}

fn identity(row: Limits, unit: Unit, limit: &policy::Limit) -> LimitPlace {
    let (per_service, v4_bits, v6_bits) = match limit.per {
        Per::Service => (1, 0, 0),
        Per::Prefix { v4, v6 } => (0, v4, v6),
    };
    LimitPlace {
        limit: limit.limit.get(),
        window_ms: limit.window.as_millis() as u64,
        burst: limit.burst,
        row: row.row() as u8,
        nth: 0,
        unit: unit as u8,
        per_service,
        v4_bits,
        v6_bits,
        reserved: [0; 2],
    }
}

fn kernel_unit(unit: policy::Unit) -> Unit {
    match unit {
        policy::Unit::Packets => Unit::Packets,
        policy::Unit::Bytes => Unit::Bytes,
        policy::Unit::Connections => Unit::Connections,
    }
}

fn halves(number: u128) -> [u64; 2] {
    [(number >> 64) as u64, number as u64]
}
