//! A ban from the violations to its end, and what becomes of who returns.

use std::time::{Duration, Instant};

use guard_tests::{Counters, client::Outcome, in_each_family, wait::eventually};

use crate::scene::{AFTER, AT_ONCE, LIMIT, OTHER, SHORTLY, Scene, duration_s};

/// How much later than it must a ban may be seen to have ended.
const LATE: Duration = Duration::from_secs(2);

#[test]
fn a_proven_offender_is_banned_for_a_time_and_the_next_time_for_longer() {
    in_each_family(|cell| {
        let scene = Scene::new(cell, "within = '1m', for = '3s', factor = 2.0, max = '1m'", "");
        let (client, prefix) = (scene.client(1), scene.prefix(1));
        let mut open = scene.use_up(1);
        let mut refused = vec![scene.violate(1, AFTER - 1)];
        assert_eq!(
            scene.connects(client, OTHER),
            Outcome::Connected,
            "{cell}: banned for less than {AFTER} violations"
        );

        let started = Instant::now();
        refused.push(scene.violate(1, 1));
        let line = scene.wait_for_ban_line("banned", 0);
        assert!(started.elapsed() < AT_ONCE, "{cell}: banned after {:?}", started.elapsed());
        let guard = &line["guard"];
        assert_eq!(
            (line["src_ip"].as_str(), guard["prefix"].as_str()),
            (prefix.split('/').next(), Some(&*prefix)),
            "{line}"
        );
        assert_eq!(
            (guard["service"].as_str(), guard["past"].as_u64(), duration_s(&line)),
            (Some("web"), Some(0), 3),
            "{line}"
        );
        let evidence = ["handshakes", "violations", "offenders"].map(|key| guard[key].as_u64());
        assert_eq!(evidence, [Some(LIMIT as u64), Some(AFTER as u64), Some(1)], "{line}");
        assert!(guard["limit"].as_str().is_some_and(|limit| limit.contains('5')), "{line}");

        // Everything of it is cut, and of nobody else.
        assert_eq!(scene.connects(client, OTHER), Outcome::TimedOut, "{cell}: banned");
        eventually("its connections are closed", AT_ONCE, || open.ended() == LIMIT || open.connected() == 0);
        assert_eq!(scene.connects(scene.client(2), OTHER), Outcome::Connected, "{cell}: another client");
        let dropped =
            scene.guard.wait_for_eve(|line| line["event_type"] == "drop" && line["drop"]["reason"] == "banned");
        assert_eq!(dropped["src_ip"], client.to_string(), "{cell}: {dropped}");
        let listed = scene.bans();
        assert_eq!((listed.len(), &listed[0]["ip"]), (1, &prefix.as_str().into()), "{cell}: {listed:#?}");
        let text = scene.done("block list");
        for shown in [&*prefix, "web", "5 "] {
            assert!(text.contains(shown), "{cell}: `{shown}` in {text}");
        }

        let ended = scene.wait_for_ban_line("ended", 0);
        let lasted = started.elapsed();
        assert!(
            lasted + SHORTLY >= Duration::from_secs(3) && lasted < Duration::from_secs(3) + LATE,
            "{cell}: {lasted:?}"
        );
        assert_eq!(ended["guard"]["prefix"], prefix, "{cell}: {ended}");
        assert!(scene.bans().is_empty(), "{cell}: {:#?}", scene.bans());
        drop(refused);
        assert_eq!(scene.connects(client, OTHER), Outcome::Connected, "{cell}: the ban has ended");

        // What it owes it still owes, so that it must not open more before it may.
        let line = scene.offend_again(1);
        assert_eq!((line["guard"]["past"].as_u64(), duration_s(&line)), (Some(1), 6), "{cell}: {line}");
        assert_eq!(scene.connects(client, OTHER), Outcome::TimedOut, "{cell}: banned again");
        assert!(Counters::read(&scene.guard).packets("other drop banned") >= 2, "{cell}");
    });
}

#[test]
fn a_ban_is_lifted_by_hand_and_forgotten() {
    in_each_family(|cell| {
        let scene = Scene::new(cell, "for = '1h'", "");
        let line = scene.offend(1);
        assert_eq!(duration_s(&line), 3600, "{cell}: {line}");
        assert_eq!(scene.connects(scene.client(1), OTHER), Outcome::TimedOut, "{cell}");
        scene.done(&format!("block remove {}", scene.prefix(1)));
        assert_eq!(scene.connects(scene.client(1), OTHER), Outcome::Connected, "{cell}: lifted");
        let line = scene.wait_for_ban_line("lifted", 0);
        assert_eq!(line["guard"]["prefix"], scene.prefix(1), "{cell}: {line}");
        assert!(scene.bans().is_empty(), "{cell}");
        // Its violations are forgotten, and the past ban with them.
        let _few = scene.violate(1, AFTER - 1);
        assert_eq!(scene.connects(scene.client(1), OTHER), Outcome::Connected, "{cell}: banned for less than {AFTER}");
        let _one = scene.violate(1, 1);
        let line = scene.wait_for_ban_line("banned", 1);
        assert_eq!((line["guard"]["past"].as_u64(), duration_s(&line)), (Some(0), 3600), "{cell}: {line}");
    });
}

#[test]
fn bans_by_hand_and_by_the_machine_stand_beside_each_other() {
    in_each_family(|cell| {
        let scene = Scene::new(cell, "for = '1h'", "");
        scene.offend(1);
        scene.done(&format!("block add {} --for 2h", scene.client(2)));
        let (client, prefix) = (scene.client(1), scene.prefix(1));
        scene.done(&format!("block add {prefix} --for 1s"));
        // Not for a moment does the end of one let in whom the other keeps out.
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(1) + LATE {
            assert_eq!(scene.connects(client, OTHER), Outcome::TimedOut, "{cell}: after {:?}", started.elapsed());
        }
        assert_eq!(scene.connects(scene.client(2), OTHER), Outcome::TimedOut, "{cell}: by hand");
        let status = scene.guard.status();
        let counts = (&status["bans"], &status["machine_bans"]["in_force"]);
        assert_eq!(counts, (&2.into(), &1.into()), "{cell}: {status:#}");
    });
}
