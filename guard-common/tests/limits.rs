//! Rows of limits, each with a bucket of its own: what becomes of a packet that some agree to and others do not.

use std::cell::{Cell, RefCell};

use guard_common::{
    address::Address,
    bucket::{Rate, Work},
    limits::{Demand, LIMIT_ROWS, LIMITS_MAX, Ledger, Limit, Limits, Unit, refusal, refused_by, unit_bit},
    policy::{Reason, SERVICES_MAX, Verdict},
};

#[path = "bucket/line.rs"]
#[allow(dead_code, reason = "here no bucket is old")]
mod line;
#[path = "packet/random.rs"]
#[allow(dead_code, reason = "generated packets need more kinds of numbers")]
mod random;

use line::SharedLine;
use random::Random;

const HOUR_NS: u64 = 3_600_000_000_000;
const TICK_NS: u64 = 4_000_000;
/// A time at which buckets of the beginning of time are idle.
const NOW: u64 = 1 << 32;

/// Limits of so many cells at once, with their buckets.
struct Row {
    limits: [Limit; LIMITS_MAX],
    lines: [SharedLine; LIMITS_MAX],
    demand: Demand,
    steps: Cell<u64>,
    /// What was asked of the buckets, in order.
    asked: RefCell<Vec<(usize, Work)>>,
    /// Before which question another packet of the same source takes cells of a bucket, whose, and how many.
    intruder: Option<(usize, usize, u64)>,
}

impl Row {
    fn of(limits: &[(Unit, u64)]) -> Self {
        let mut row = [Limit::default(); LIMITS_MAX];
        for (place, (unit, depth)) in limits.iter().enumerate() {
            row[place] = Limit {
                rate: Rate::new(1, HOUR_NS, depth - 1, TICK_NS).expect("a rate within bounds"),
                mask_v4: u64::MAX,
                mask_v6: [u64::MAX; 2],
                unit: *unit as u8,
                ..Limit::default()
            };
        }
        let demand = Demand { version: 4, source: Address::from_v4([192, 0, 2, 7]), bytes: 100, connections: 0 };
        Self {
            limits: row,
            lines: Default::default(),
            demand,
            steps: Cell::new(NOW),
            asked: RefCell::default(),
            intruder: None,
        }
    }

    /// Returns the reason for which the packet is refused.
    fn refuses(&self) -> Option<Reason> {
        self.asked.borrow_mut().clear();
        let unit = refused_by(self);
        (unit != 0).then(|| refusal(unit))
    }

    fn sends(&mut self, bytes: u32, connections: u32) -> Option<Reason> {
        self.demand = Demand { bytes, connections, ..self.demand };
        self.refuses()
    }

    /// Returns how many cells each bucket is in debt.
    fn debts(&self) -> [u64; LIMITS_MAX] {
        std::array::from_fn(|place| {
            let rate = &self.limits[place].rate;
            let idle_at = self.lines[place].words()[1].into_iter().max().unwrap_or(0);
            idle_at.saturating_sub(rate.time(self.steps.get())).checked_div(rate.cell).unwrap_or(0)
        })
    }

    fn work_at(&self, index: usize, work: Work, demand: &Demand) -> bool {
        self.limits[index].work(work, demand, [1, 2], self.steps.get(), |_| Some(&self.lines[index]))
    }
}

impl Ledger for Row {
    fn unit(&self, index: usize) -> u8 {
        self.limits[index].unit
    }

    fn work(&self, index: usize, work: Work) -> bool {
        if let Some((before, whose, cells)) = self.intruder
            && self.asked.borrow().len() == before
        {
            (0..cells).for_each(|_| assert!(self.work_at(whose, Work::Charge, &self.demand)));
        }
        self.asked.borrow_mut().push((index, work));
        self.work_at(index, work, &self.demand)
    }
}

#[test]
fn a_packet_is_charged_to_all_or_to_none() {
    for depths in [[1, 5, 5, 5], [5, 1, 5, 5], [5, 5, 1, 5], [5, 5, 5, 1], [2, 3, 2, 3]] {
        for count in 1..=LIMITS_MAX {
            let depths = &depths[..count];
            let row = Row::of(&depths.iter().map(|depth| (Unit::Packets, *depth)).collect::<Vec<_>>());
            let least = *depths.iter().min().unwrap();
            for nth in 0..least + 3 {
                let expected = (nth >= least).then_some(Reason::RatePackets);
                assert_eq!(row.refuses(), expected, "packet {nth} of {depths:?}");
                let debts = row.debts();
                assert!(debts[..count].iter().all(|debt| *debt == least.min(nth + 1)), "{depths:?}: {debts:?}");
            }
        }
    }
}

#[test]
fn a_limit_counts_its_own_unit() {
    let mut row = Row::of(&[(Unit::Packets, 10), (Unit::Bytes, 1_000), (Unit::Connections, 2)]);
    for (bytes, connections, refused, debts) in [
        (100, 1, None, [1, 100, 1, 0]),
        (100, 0, None, [2, 200, 1, 0]),
        (300, 1, None, [3, 500, 2, 0]),
        (100, 1, Some(Reason::RateConnections), [3, 500, 2, 0]),
        (501, 0, Some(Reason::RateBytes), [3, 500, 2, 0]),
        (500, 0, None, [4, 1_000, 2, 0]),
        (1, 0, Some(Reason::RateBytes), [4, 1_000, 2, 0]),
        // Costs that limits of bytes and connections do not count.
        (0, 0, None, [5, 1_000, 2, 0]),
        (0, 0, None, [6, 1_000, 2, 0]),
    ] {
        assert_eq!(row.sends(bytes, connections), refused, "{bytes} bytes, {connections} connections");
        assert_eq!(row.debts(), debts, "{bytes} bytes, {connections} connections");
    }
    for _ in 6..10 {
        assert_eq!(row.sends(0, 0), None);
    }
    assert_eq!(row.sends(0, 0), Some(Reason::RatePackets));
}

#[test]
fn a_packet_that_costs_nothing_touches_no_bucket() {
    let mut row = Row::of(&[(Unit::Connections, 1), (Unit::Bytes, 1)]);
    for _ in 0..5 {
        assert_eq!(row.sends(0, 0), None);
    }
    for line in &row.lines {
        assert_eq!(line.words(), SharedLine::default().words());
    }
}

#[test]
fn the_others_are_asked_before_any_is_charged() {
    use Work::{Ask, Charge};
    for (name, depths, asked) in [
        ("all agree", [9, 9, 9], vec![(1, Ask), (2, Ask), (0, Charge), (1, Charge), (2, Charge)]),
        ("the first refuses", [1, 9, 9], vec![(1, Ask), (2, Ask), (0, Charge)]),
        ("the second refuses", [9, 1, 9], vec![(1, Ask)]),
        ("the last refuses", [9, 9, 1], vec![(1, Ask), (2, Ask)]),
    ] {
        let row = Row::of(&depths.map(|depth| (Unit::Packets, depth)));
        if name != "all agree" {
            assert_eq!(row.refuses(), None);
        }
        row.refuses();
        assert_eq!(*row.asked.borrow(), asked, "{name}");
    }
}

#[test]
fn what_another_packet_took_meanwhile_is_given_back() {
    // Of four limits each is exhausted by another packet right before it is charged: questions 0 to 2 ask, 3 to 6 charge.
    for whose in 0..LIMITS_MAX {
        for before in 3..=3 + whose {
            let mut row = Row::of(&[(Unit::Packets, 5); LIMITS_MAX]);
            row.intruder = Some((before, whose, 5));
            assert_eq!(row.refuses(), Some(Reason::RatePackets), "limit {whose}, before question {before}");
            let expected = std::array::from_fn(|place| if place == whose { 5 } else { 0 });
            assert_eq!(row.debts(), expected, "limit {whose}, before question {before}");
        }
    }
}

/// A ledger whose buckets go to others between charge and refund.
struct Fickle {
    refunds: RefCell<[u32; LIMITS_MAX]>,
    deaf: usize,
}

impl Ledger for Fickle {
    fn unit(&self, _: usize) -> u8 {
        Unit::Packets as u8
    }

    fn work(&self, index: usize, work: Work) -> bool {
        match work {
            Work::Ask => true,
            Work::Charge => index < LIMITS_MAX - 1,
            Work::Refund => {
                self.refunds.borrow_mut()[index] += 1;
                index != self.deaf
            }
        }
    }
}

#[test]
fn nothing_is_given_back_twice() {
    for deaf in 0..LIMITS_MAX {
        let ledger = Fickle { refunds: RefCell::default(), deaf };
        assert_eq!(refused_by(&ledger), Unit::Packets as u8);
        assert_eq!(*ledger.refunds.borrow(), [1, 1, 1, 0], "a refund of limit {deaf} fails");
    }
}

#[test]
fn a_clock_that_went_back_far_shuts_out_no_source_of_several_limits() {
    for first in [5, 9] {
        let row = Row::of(&[(Unit::Packets, first), (Unit::Packets, 5), (Unit::Packets, 7)]);
        for _ in 0..5 {
            assert_eq!(row.refuses(), None);
        }
        // A debt of five hours, and the clock 20 days back.
        row.steps.set(NOW - 500 * HOUR_NS / TICK_NS);
        // Each of the three is set right when it is asked, and then refuses for a cell's time; then a cell comes an hour.
        let mut passed = 0;
        for _ in 0..100 {
            row.steps.set(row.steps.get() + HOUR_NS / TICK_NS / 10);
            passed += u64::from(row.refuses().is_none());
        }
        assert!((7..=10).contains(&passed), "{passed} in ten hours");
    }
}

#[test]
fn sources_are_told_apart_by_the_mask_of_their_family() {
    let v4 = |octets| (4, Address::from_v4(octets));
    let v6 = |high, low| (6, Address { high, low });
    let limit = Limit { mask_v4: 0xffff_ffff_ff00, mask_v6: [!0xff, 0], ..Row::of(&[(Unit::Packets, 1)]).limits[0] };
    let hash = |limit: &Limit, (version, source)| {
        let seen = Cell::new(0);
        let demand = Demand { version, source, bytes: 0, connections: 0 };
        let line = SharedLine::default();
        limit.work(Work::Ask, &demand, [3, 4], NOW, |hash| {
            seen.set(hash);
            Some(&line)
        });
        seen.get()
    };
    for (name, one, other, same) in [
        ("one /24", v4([10, 0, 0, 1]), v4([10, 0, 0, 255]), true),
        ("two /24s", v4([10, 0, 0, 1]), v4([10, 0, 1, 1]), false),
        ("one /56", v6(0x2001_0db8 << 32, 1), v6(0x2001_0db8 << 32 | 0xff, u64::MAX), true),
        ("two /56s", v6(0x2001_0db8 << 32, 1), v6(0x2001_0db8 << 32 | 0x100, 1), false),
        ("two families", v4([0, 0, 0, 0]), v6(0, 0), false),
    ] {
        assert_eq!(hash(&limit, one) == hash(&limit, other), same, "{name}");
        let shared = Limit { per_service: 1, ..limit };
        assert_eq!(hash(&shared, one), hash(&shared, other), "{name}, all in one bucket");
        assert_ne!(hash(&limit, one), 0, "{name}: 0 is nobody's");
    }
}

#[test]
fn where_there_is_no_bucket_nothing_passes() {
    let row = Row::of(&[(Unit::Packets, 5)]);
    for work in [Work::Ask, Work::Charge] {
        assert!(!row.limits[0].work(work, &row.demand, [1, 2], NOW, |_| None::<&SharedLine>));
    }
}

#[test]
fn random_rows_never_charge_a_part() {
    const UNITS: [Unit; 3] = [Unit::Packets, Unit::Bytes, Unit::Connections];
    let mut random = Random::new(6);
    for _ in 0..2_000 {
        let limits: Vec<_> =
            (0..1 + random.below(LIMITS_MAX)).map(|_| (random.pick(&UNITS), 1 + random.below(300) as u64)).collect();
        let mut row = Row::of(&limits);
        let mut left: Vec<u64> = limits.iter().map(|(_, depth)| *depth).collect();
        for _ in 0..50 {
            let (bytes, connections) = (random.below(90) as u32, random.below(2) as u32);
            let cost = |unit| match unit {
                Unit::Bytes => u64::from(bytes),
                Unit::Connections => u64::from(connections),
                _ => 1,
            };
            let fits = limits.iter().zip(&left).all(|((unit, _), left)| cost(*unit) <= *left);
            let refused = row.sends(bytes, connections);
            assert_eq!(refused.is_none(), fits, "{limits:?}");
            match refused {
                None => limits.iter().zip(&mut left).for_each(|((unit, _), left)| *left -= cost(*unit)),
                Some(reason) => {
                    let lacking = |(unit, left): (Unit, &u64)| cost(unit) > *left && refusal(unit as u8) == reason;
                    assert!(limits.iter().map(|(unit, _)| *unit).zip(&left).any(lacking), "{limits:?}: {reason:?}");
                }
            }
        }
    }
}

#[test]
fn each_unit_has_a_reason_and_a_bit_and_each_row_a_place() {
    let units = [Unit::Packets, Unit::Bytes, Unit::Connections, Unit::EchoRequests, Unit::Errors];
    let reasons =
        [Reason::RatePackets, Reason::RateBytes, Reason::RateConnections, Reason::RateEcho, Reason::RateErrors];
    assert_eq!(units.map(|unit| refusal(unit as u8)), reasons);
    assert!(reasons.iter().all(|reason| reason.verdict() == Verdict::Drop));
    let bits = units.map(unit_bit);
    assert_eq!(bits.iter().fold(0, |all, bit| all | bit).count_ones() as usize, units.len());
    let services = (1..=SERVICES_MAX as u8).map(Limits::Service);
    let mut rows: Vec<usize> = services.chain([Limits::Echo, Limits::Errors]).map(Limits::row).collect();
    rows.sort_unstable();
    assert_eq!(rows, (0..LIMIT_ROWS).collect::<Vec<_>>());
}
