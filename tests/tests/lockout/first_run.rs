//! The first run of a guard, which cuts whoever its policy does not let in.

use std::process::{Child, Command};

use guard_tests::{Guard, Options, Site, in_each_family, wait, xdp::program_on};

use super::{
    login::{KnownBy, Login},
    scene::{SSH, Scene, administrator, audit, policy},
};

/// A daemon that a login started, killed when dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(site: &Site, config: &str, args: &[&str]) -> Command {
    let config = site.config(config);
    Guard::command(site.host(), Options { config: Some(&config), args, ..Options::default() }, "run")
}

fn ask(site: &Site, subcommand: &str) -> bool {
    Guard::invoke(site.host(), Options::default(), subcommand).status.success()
}

#[test]
fn a_first_run_that_would_cut_a_session_is_refused_unless_forced() {
    in_each_family(|cell| {
        for known in KnownBy::ALL {
            let site = Scene::site(cell);
            let login = Login::new(known, site.peer(), administrator(cell), site.host(), site.at(SSH));
            let output = login.run(&run(&site, &policy(""), &[]));
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{cell}: {known:?}: {said}");
            for part in [login.described(), &administrator(cell).to_string(), "failsafe_ports", "--force"] {
                assert!(said.contains(part), "{cell}: {known:?}: no `{part}` in {said}");
            }
            assert_eq!(program_on(site.guarded()), None, "{cell}: {known:?}");
            assert!(login.is_alive(), "{cell}: {known:?}");
            let refused = audit(&site);
            let last = refused.last().expect("there is a line");
            assert_eq!((&last["action"], &last["outcome"]), (&"start".into(), &"refused".into()), "{last:#}");

            let mut forced = login.started_by(&run(&site, &policy(""), &["--force"]));
            let daemon = Daemon(forced.spawn().expect("guard can be started"));
            wait::eventually("the forced guard enforces", std::time::Duration::from_secs(20), || ask(&site, "status"));
            assert!(!login.is_alive(), "{cell}: {known:?}: forced");
            assert_eq!(audit(&site).last().expect("there is a line")["forced"], true);
            assert!(ask(&site, "down"), "{cell}: {known:?}");
            drop(daemon);
            assert!(login.revives(), "{cell}: {known:?}: without a guard");
        }
    });
}

/// A guard that comes back after a crash must not stay away because of somebody who is cut as long as it enforces.
#[test]
fn a_run_that_takes_over_is_not_refused_for_those_who_are_cut_already() {
    in_each_family(|cell| {
        let site = Scene::site(cell);
        let login = Login::new(KnownBy::Utmp, site.peer(), administrator(cell), site.host(), site.at(SSH));
        let config = site.config(&policy(""));
        let forced = Options { config: Some(&config), args: &["--force"], ..Options::default() };
        let mut first = Guard::run(site.host(), forced);
        assert!(!login.is_alive(), "{cell}");
        first.kill();
        let second = site.guard(&policy(""));
        assert_eq!(second.status()["enforced"], true, "{cell}");
    });
}

#[test]
fn a_run_that_takes_over_is_refused_if_it_would_cut_whoever_starts_it() {
    in_each_family(|cell| {
        for known in [KnownBy::Ancestor, KnownBy::Environment] {
            let mut scene = Scene::new(cell);
            let login = scene.login(known);
            scene.guard.kill();
            scene.site.host().write("state/data/allowed_ips.json", "[\"192.0.2.9\"]");
            let output = login.run(&run(&scene.site, &policy(""), &[]));
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{cell}: {known:?}: {said}");
            assert!(said.contains(login.described()) && said.contains("--force"), "{cell}: {known:?}: {said}");
            assert!(program_on(scene.site.guarded()).is_some(), "{cell}: {known:?}: what was enforced is");
            assert!(login.is_alive(), "{cell}: {known:?}");
        }
    });
}
