//! Reasons, as records and exporters see them.

use guard_common::policy::{Reason, Verdict};

#[test]
fn numbers_are_the_places_of_reasons() {
    for (place, reason) in Reason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, place, "{reason:?}");
        assert_eq!(Reason::from_number(place as u8), Some(reason), "{reason:?}");
    }
    for number in Reason::ALL.len() as u8..=u8::MAX {
        assert_eq!(Reason::from_number(number), None, "{number}");
    }
}

#[test]
fn names_are_unlike_each_other() {
    for reason in Reason::ALL {
        let namesakes = Reason::ALL.into_iter().filter(|other| other.name() == reason.name());
        assert_eq!(namesakes.count(), 1, "{reason:?}");
    }
}

#[test]
fn only_what_was_let_in_passes() {
    let passing = [Reason::NotIp, Reason::Essential, Reason::Failsafe, Reason::Default, Reason::Allowed, Reason::Reply];
    for reason in Reason::ALL {
        let expected = if passing.contains(&reason) { Verdict::Pass } else { Verdict::Drop };
        assert_eq!(reason.verdict(), expected, "{reason:?}");
    }
}
