//! Edits of a great many.

use std::net::{IpAddr, Ipv4Addr};

use nix::time::{ClockId, clock_gettime};

use super::*;

fn many(count: u32, from: u32) -> Vec<ipnet::IpNet> {
    (from..from + count).map(|address| IpAddr::from(Ipv4Addr::from_bits(address)).into()).collect()
}

/// The processor's time that this thread took so far; of other tests nothing counts.
fn spent() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

#[test]
fn a_great_many_take_no_longer_each() {
    let base = u32::from(Ipv4Addr::new(100, 0, 0, 0));
    let list: Vec<String> = many(40_000, base).iter().map(|prefix| prefix.addr().to_string()).collect();
    let mut scene = Scene::with_list(&serde_json::to_string(&list).unwrap());
    let prefixes = many(20_000, base + 30_000);
    let before = spent();
    let done = scene.edit(add(Addition { prefixes: prefixes.clone(), ..allow("") })).unwrap();
    assert_eq!(done.counts, (10_000, 0, 0, 10_000));
    let done = scene.edit(add(Addition { prefixes: prefixes.clone(), ttl: HOUR, ..allow("") })).unwrap();
    assert_eq!((done.counts, done.warnings.len()), ((20_000, 0, 0, 0), 101));
    let done = scene.edit(add(Addition { prefixes: prefixes.clone(), ..block("") })).unwrap();
    assert_eq!(done.counts, (20_000, 0, 0, 0));
    let done = scene.edit(Edit::Remove(Removal { prefixes, ..removal(List::Allow, "") })).unwrap();
    assert_eq!((done.counts, scene.live().len()), ((0, 40_000, 0, 0), 20_000));
    // Some 3 s without optimisation; quadratic, one of these would take longer than all of that.
    assert!(spent() - before < Duration::from_secs(15), "{:?}", spent() - before);
}
