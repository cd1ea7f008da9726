//! A hundred thousand bans that end at once.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    scene::{ANY_CELL, SOON, Scene, many},
    traffic::Traffic,
};

const BANS: u32 = 100_000;
const TTL: Duration = Duration::from_secs(12);
/// The longest that the daemon may take over an answer, with the command's start, on a busy machine.
const ANSWERS: Duration = Duration::from_secs(2);

#[test]
fn many_bans_that_end_at_once_stall_nobody() {
    let scene = Scene::new(ANY_CELL);
    let lines: Vec<String> = many(BANS).collect();
    let file = scene.site.host().write("bans.txt", lines.join("\n"));
    let traffic = Traffic::start(&scene, &[]);
    let started = Instant::now();
    let answer = scene.done(&format!("block add --for 12s --file {}", file.display()));
    println!("{BANS} bans: {:?}", started.elapsed());
    assert!(started.elapsed() < TTL, "they are in force before they end: {:?}", started.elapsed());
    assert!(answer.contains("added 100000 entries"), "{answer}");
    assert_eq!(scene.guard.status()["bans"], BANS);

    let mut longest = Duration::ZERO;
    let mut gone = None;
    while gone.is_none_or(|gone: Instant| gone.elapsed() < Duration::from_secs(2)) {
        assert!(started.elapsed() < TTL + 2 * SOON, "the bans do not go");
        let asked = Instant::now();
        let bans = scene.guard.status()["bans"].as_u64().expect("a count is a number");
        longest = longest.max(asked.elapsed());
        if bans == 0 && gone.is_none() {
            println!("swept {:?} after they were asked for", started.elapsed());
            gone = Some(Instant::now());
        }
        assert!(bans == u64::from(BANS) || started.elapsed() >= TTL, "{bans} bans before their end");
        thread::sleep(Duration::from_millis(20));
    }
    println!("the slowest answer: {longest:?}");
    assert!(longest < ANSWERS, "{longest:?}");
    assert!(scene.list("block").is_empty());
    traffic.finish(&scene);
    let expired = scene.audit().into_iter().filter(|line| line["action"] == "expire").count();
    assert!(expired >= 1, "the audit log says that they ended");
}
