//! Changes whose client goes away: each happens whole, or not at all.

use std::{collections::BTreeMap, io::Write as _};

use super::scene::{ROOT, Scene, answer};

/// Entries of one change.
const ENTRIES: u8 = 200;

fn addition(change: u8) -> Vec<u8> {
    let ips: Vec<String> = (0..ENTRIES).map(|number| format!("\"198.51.{change}.{number}\"")).collect();
    let ips = ips.join(",");
    format!("{{\"version\":1,\"request\":{{\"add\":{{\"list\":\"allow\",\"ips\":[{ips}]}}}}}}\n").into_bytes()
}

#[test]
fn a_change_whose_client_goes_is_whole_or_none() {
    let scene = Scene::new("group");
    for change in 0..40 {
        let mut stream = scene.connect_as(ROOT).expect("the daemon listens");
        stream.write_all(&addition(change)).expect("the daemon reads");
        // Sooner or later after it was sent.
        std::thread::sleep(std::time::Duration::from_millis(u64::from(change % 8) * 5));
    }
    let stream = scene.connect_as(ROOT).expect("the daemon listens");
    let enforced = answer(&stream, &addition(200));
    assert_eq!(enforced["ok"]["enforced"]["changes"]["added"], ENTRIES, "{enforced}");
    let mut added: BTreeMap<String, usize> = BTreeMap::new();
    for prefix in scene.list("allow") {
        if let Some(rest) = prefix.strip_prefix("198.51.") {
            *added.entry(rest.split('.').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    println!("{} of 41 changes", added.len());
    assert!(added.values().all(|count| *count == usize::from(ENTRIES)), "{added:?}");
    assert!(added.contains_key("200"), "{added:?}");
}
