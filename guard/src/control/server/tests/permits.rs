//! Who may ask, and who may change.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use super::*;

const LIST: &[u8] = b"{\"version\":1,\"request\":{\"list\":{\"list\":\"block\"}}}\n";
const STATUS: &[u8] = b"{\"version\":1,\"request\":\"status\"}\n";

fn mode(control: &Control) -> u32 {
    fs::metadata(&control.path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_file_is_open_to_those_who_may_ask() {
    let (_dir, control) = open();
    assert_eq!(mode(&control), 0o660);
    let refused = NOBODY.enter(|| net::UnixStream::connect(&control.path)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    for (readers, expected) in [(Readers::Everyone, 0o666), (Readers::Group, 0o660)] {
        control.set_readers(readers).unwrap();
        assert_eq!(mode(&control), expected, "{readers:?}");
    }
}

#[tokio::test]
async fn who_may_only_ask_changes_nothing() {
    let (_dir, mut control) = open_to(Readers::Everyone);
    let mut stream = connect_as_nobody(&control);
    for request in [
        r#"{"reload":{}}"#,
        r#"{"add":{"list":"allow","ips":["10.0.0.1"]}}"#,
        r#"{"remove":{"list":"block","ips":["10.0.0.1"],"force":true}}"#,
        r#"{"lockdown":{}}"#,
        r#"{"lift":{}}"#,
        r#"{"under":{"ips":["10.0.0.0/24"]}}"#,
    ] {
        stream.write_all(format!("{{\"version\":1,\"request\":{request}}}\n").as_bytes()).await.unwrap();
        let (kind, error) = failure(&mut stream).await;
        assert_eq!(kind, "not_permitted", "{request}: {error}");
        assert!(error.contains("group `guard`") && error.contains("uid 54322"), "{request}: {error}");
    }
    stream.write_all(LIST).await.unwrap();
    let asked = timeout(PATIENCE, control.questions.recv()).await.unwrap();
    assert!(matches!(asked, Some(Question::List { list: List::Block, .. })), "nothing before it came through");
}

#[tokio::test]
async fn who_may_not_ask_any_more_is_told_so() {
    let (_dir, mut control) = open_to(Readers::Everyone);
    let mut stream = connect_as_nobody(&control);
    stream.write_all(STATUS).await.unwrap();
    assert!(matches!(control.questions.recv().await, Some(Question::Status(_))), "and gives no answer");
    assert_eq!(failure(&mut stream).await.0, "unavailable");
    control.set_readers(Readers::Group).unwrap();
    stream.write_all(STATUS).await.unwrap();
    let (kind, error) = failure(&mut stream).await;
    assert_eq!(kind, "not_permitted");
    assert!(error.contains("`readers`"), "{error}");
}

#[tokio::test]
async fn a_change_names_its_author() {
    let (_dir, mut control) = open();
    let mut stream = connect(&control).await;
    let request = r#"{"version":1,"request":{"add":{"list":"allow","ips":["10.0.0.9/8","10.0.0.1","10.0.0.1/32"],"services":["web","api","web"],"ttl":"2h","comment":" a comment ","name":"home"}}}"#;
    stream.write_all(format!("{request}\n").as_bytes()).await.unwrap();
    let Some(Question::Edit { edit: Edit::Add(addition), force, by, answer }) = control.questions.recv().await else {
        panic!("no edit was asked for");
    };
    assert_eq!((by.uid, by.user.as_deref(), force), (0, Some("root"), false));
    assert_eq!(by.pid, std::process::id().cast_signed());
    assert_eq!(addition.prefixes, ["10.0.0.0/8".parse().unwrap(), "10.0.0.1/32".parse().unwrap()]);
    assert_eq!(addition.services, ["api", "web"]);
    assert_eq!(addition.ttl, Some(Duration::from_hours(2)));
    assert_eq!((addition.comment.as_deref(), addition.name.as_deref()), (Some("a comment"), Some("home")));
    let enforced = crate::edit::EnforcedEdit { warnings: vec!["its own".to_owned()], ..Default::default() };
    answer.send(EditOutcome::Enforced(enforced)).unwrap();
    let line = line(&mut stream).await;
    let warnings =
        "\"warnings\":[\"`10.0.0.9/8` has bits set past its length: it is taken for 10.0.0.0/8\",\"its own\"]";
    assert!(line.contains(warnings), "{line}");
}

#[tokio::test]
async fn a_thousand_who_may_only_ask_keep_nobody_else_out() {
    let (_dir, mut control) = open_to(Readers::Everyone);
    let (_waiting, answer) = ask(&mut control).await;
    let mut members: Vec<UnixStream> = Vec::new();
    for _ in 0..10 {
        members.push(connect(&control).await);
    }
    let mut crowd = Vec::new();
    for _ in 0..300 {
        let mut stream = connect_as_nobody(&control);
        // Half of them ask, too.
        let _ = if crowd.len() % 2 == 0 { stream.write_all(STATUS).await } else { Ok(()) };
        crowd.push(stream);
    }
    // The daemon has not answered any of them.
    let mut late = connect(&control).await;
    for stream in members.iter_mut().chain([&mut late]) {
        stream.write_all(b"{}\n").await.unwrap();
        assert_eq!(failure(stream).await.0, "request");
    }
    assert!(!answer.is_closed());
}

#[tokio::test(start_paused = true)]
async fn questions_of_those_who_may_only_ask_come_one_by_one() {
    let (_dir, mut control) = open_to(Readers::Everyone);
    let mut crowd: Vec<UnixStream> = (0..10).map(|_| connect_as_nobody(&control)).collect();
    for stream in &mut crowd {
        stream.write_all(STATUS).await.unwrap();
    }
    let Some(Question::Status(first)) = control.questions.recv().await else { panic!("no status was asked for") };
    assert!(timeout(Duration::from_secs(1), control.questions.recv()).await.is_err(), "while it is answered");
    drop(first);
    let asked = tokio::time::Instant::now();
    let next = timeout(Duration::from_secs(1), control.questions.recv()).await.unwrap();
    assert!(next.is_some() && asked.elapsed() >= Duration::from_millis(50), "{:?}", asked.elapsed());
}
