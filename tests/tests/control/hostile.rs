//! Clients that mean harm: they hold up neither packets nor changes, and cost little memory.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use guard_tests::{User, process::resident};

use super::scene::{NOBODY, ROOT, STATUS, Scene, assert_judged};

const LIST: &[u8] = b"{\"version\":1,\"request\":{\"list\":{\"list\":\"allow\"}}}\n";

/// What a client does once it is connected. That it can't go on is no fault: it may have been let go.
type Attack = fn(&mut UnixStream) -> std::io::Result<()>;

/// What costs the daemon no answer.
const NOISE: [(&str, Attack); 5] = [
    ("silent", |_| Ok(())),
    ("half a request", |stream| stream.write_all(&STATUS[..10])),
    ("garbage", |stream| stream.write_all(&[0xff, 0, b'\n'].repeat(1000))),
    ("nested", |stream| stream.write_all(&[b"[".repeat(60_000), b"\n".to_vec()].concat())),
    ("an endless line", |stream| {
        loop {
            stream.write_all(&[b' '; 64 << 10])?;
        }
    }),
];

/// What it answers.
const QUESTIONS: [(&str, Attack); 3] = [
    ("many questions", |stream| stream.write_all(&STATUS.repeat(100))),
    ("a list that is not read", |stream| stream.write_all(LIST)),
    ("gone", |stream| {
        stream.write_all(STATUS)?;
        stream.shutdown(std::net::Shutdown::Both)
    }),
];

/// Has a thousand clients of a user at once do harm, while packets come and changes are made.
fn beside_a_crowd_of(user: User<'_>, attacks: &[(&str, Attack)]) {
    let list: Vec<String> =
        (0..50_000).map(|number: u32| format!("\"10.0.{}.{}\"", number / 256, number % 256)).collect();
    let mut scene = Scene::with_list("everyone", &format!("[{}]", list.join(",")));
    let pid = scene.guard.process().id();
    let before = resident(pid);
    let case = format!("uid {}", user.uid);
    let stream = scene.stream();
    let (ended, most, served) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for (_, attack) in attacks {
            let (scene, ended, most, served) = (&scene, &ended, &most, &served);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let mut crowd = Vec::new();
                    for _ in 0..1000 / attacks.len() {
                        if let Ok(mut stream) = scene.connect_as(user) {
                            let _ = attack(&mut stream);
                            crowd.push(stream);
                        }
                    }
                    served.fetch_add(crowd.len() as u64, Ordering::Relaxed);
                    most.fetch_max(resident(pid), Ordering::Relaxed);
                }
            });
        }
        let start = Instant::now();
        let mut changes = 0;
        while start.elapsed() < Duration::from_secs(10) {
            let source = format!("198.51.100.{}", changes % 250);
            scene.assert_does(&["allow", "add", &source, "--for", "1h"], &case);
            scene.assert_answers(&case);
            changes += 1;
        }
        println!("{case}: {changes} changes");
        ended.store(true, Ordering::Relaxed);
    });
    assert_judged(stream, &case);
    let most = most.into_inner();
    println!("{case}: {} connections; {before} kB before, at most {most} kB", served.into_inner());
    assert!(most < before + 128 * 1024, "{case}: {before} kB before, {most} kB at most");
}

#[test]
fn a_thousand_who_may_only_ask_hold_up_nothing() {
    beside_a_crowd_of(NOBODY, &[&NOISE[..], &QUESTIONS].concat());
}

#[test]
fn a_thousand_who_may_do_everything_hold_up_nothing() {
    // Questions of those who may do everything are answered in their turn.
    beside_a_crowd_of(ROOT, &NOISE);
}

#[test]
fn a_listing_that_is_not_read_is_let_go() {
    let list: Vec<String> =
        (0..50_000).map(|number: u32| format!("\"10.0.{}.{}\"", number / 256, number % 256)).collect();
    let scene = Scene::with_list("group", &format!("[{}]", list.join(",")));
    let mut stream = scene.connect_as(ROOT).expect("the daemon listens");
    stream.write_all(LIST).expect("the daemon reads");
    thread::sleep(Duration::from_secs(62));
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert!(text.len() < 2 << 20, "{} bytes of a list that was not read", text.len());
    assert_eq!(scene.list("allow").len(), 50_001, "who reads gets all of it");
}
