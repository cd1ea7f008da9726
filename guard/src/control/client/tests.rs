//! The client against daemons that answer as they like, or not at all.

use std::{io::Read as _, os::unix::net::UnixListener, thread};

use tempfile::TempDir;

use super::*;
use crate::control::peer::tests::NOBODY;

/// An instance in a directory of its own, and its listener.
fn instance() -> (TempDir, Instance, UnixListener) {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().to_owned();
    let instance = Instance { name: "odd".to_owned(), state_dir: directory.clone(), runtime_dir: directory };
    let listener = UnixListener::bind(instance.socket()).unwrap();
    (dir, instance, listener)
}

/// Answers the next request with some bytes, and ends.
fn answering(listener: UnixListener, answer: &'static str) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut request).unwrap();
        assert!(request.starts_with("{\"version\":1,"), "{request}");
        stream.write_all(answer.as_bytes()).unwrap();
    })
}

#[test]
fn a_change_that_takes_long_is_not_a_daemon_that_is_gone() {
    // Connections are taken, and nothing is read.
    let (_dir, instance, listener) = instance();
    let patience = Duration::from_millis(50);
    let removal = |list| Request::Remove {
        list,
        ips: Default::default(),
        services: Vec::new(),
        name: Some("home".to_owned()),
        force: false,
    };
    for (request, look) in [
        (Request::Reload { force: false }, "status"),
        (Request::Lift { force: false }, "status"),
        (removal(List::Allow), "allow list"),
        (removal(List::Block), "block list"),
    ] {
        let case = format!("{request:?}");
        let error = ask_for_change::<Outcome>(&instance, request, patience).unwrap_err().to_string();
        assert!(error.contains("still under way"), "{case}: {error}");
        assert!(error.contains(&format!("`guard --instance odd {look}`")), "{case}: {error}");
        assert!(!error.contains("guard run"), "{case}: {error}");
    }
    drop(listener);
    let request = Request::Reload { force: false };
    let error = ask_for_change::<Outcome>(&instance, request, patience).unwrap_err().to_string();
    assert!(error.contains("does not answer"), "{error}");
}

#[test]
fn who_may_not_look_is_not_told_that_nothing_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().to_owned();
    let instance = Instance { name: "odd".to_owned(), state_dir: directory.clone(), runtime_dir: directory };
    let error = |instance| status(instance).unwrap_err().to_string();
    assert!(error(&instance).contains("nothing of it is in the kernel"), "{}", error(&instance));
    // The directory of pins is root's, and so is this one.
    let error = NOBODY.enter(|| error(&instance));
    assert!(error.contains("only root can see"), "{error}");
}

#[test]
fn what_is_no_answer_is_said_to_be() {
    for (case, answer, expected) in [
        ("nothing", "", "ended without an answer"),
        ("not JSON", "hello\n", "does not answer"),
        ("half a line", "{\"ok\":", "does not answer"),
        ("another shape", "{\"ok\":{\"renamed\":1}}\n", "does not answer"),
        ("says nothing", "{}\n", "says nothing"),
        ("refused", "{\"error\":\"no request: x\",\"kind\":\"request\"}\n", "refused: no request: x"),
        ("refused by a former daemon", "{\"error\":\"no request: x\"}\n", "refused: no request: x"),
        ("refused for a reason not known", "{\"error\":\"x\",\"kind\":\"sleepy\"}\n", "refused: x"),
        ("busy", "{\"error\":\"x\",\"kind\":\"busy\"}\n", "can't answer: x"),
        ("ending", "{\"error\":\"x\",\"kind\":\"unavailable\"}\n", "can't answer: x"),
        ("not permitted", "{\"error\":\"x\",\"kind\":\"not_permitted\"}\n", "not permitted: x"),
    ] {
        let (_dir, instance, listener) = instance();
        let daemon = answering(listener, answer);
        let error = reload(&instance, false).unwrap_err().to_string();
        daemon.join().unwrap();
        assert!(error.contains(expected), "{case}: {error}");
    }
}

#[test]
fn why_a_request_is_not_read_to_its_end_is_told() {
    let (_dir, instance, listener) = instance();
    let daemon = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
        stream.write_all(b"{\"error\":\"too long\",\"kind\":\"request\"}\n").unwrap();
    });
    let services = vec!["x".repeat(4 << 20)];
    let request = Request::Remove { list: List::Allow, ips: Default::default(), services, name: None, force: false };
    let error = change(&instance, request).unwrap_err().to_string();
    daemon.join().unwrap();
    assert!(error.contains("refused: too long"), "{error}");
}

#[test]
fn a_list_is_taken_page_by_page_up_to_the_last() {
    const PAGE: &str = "{\"ok\":{\"list\":\"block\",\"generation\":7,\"entries\":[{\"ip\":\"10.0.0.1/32\",\"source\":\"x\"}],\"last\":";
    for (case, ends, pages, expected) in [
        ("one page", &["true}}\n"][..], 1, None),
        ("what comes behind is not read", &["false}}\n", "true}}\n", "x\n"], 2, None),
        ("broken off", &["false}}\n"], 1, Some("ended without an answer")),
        ("broken off in a page", &["false}}\n", ""], 1, Some("does not answer")),
    ] {
        let (_dir, instance, listener) = instance();
        let answer: String = ends.iter().map(|end| format!("{PAGE}{end}")).collect();
        let daemon = answering(listener, answer.leak());
        let mut taken = 0;
        let ended = list(&instance, List::Block, |page| {
            taken += page.entries.len();
            Ok(())
        });
        daemon.join().unwrap();
        let error = ended.err().map(|error| error.to_string());
        assert_eq!(taken, pages, "{case}: {error:?}");
        assert_eq!(error.is_some(), expected.is_some(), "{case}: {error:?}");
        assert!(error.unwrap_or_default().contains(expected.unwrap_or_default()), "{case}");
    }
}
