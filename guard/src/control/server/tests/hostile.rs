//! What is not a request, never ends, or is too long.

use std::time::Duration;

use super::*;
use crate::control::{LONG_REQUEST_MAX, REQUEST_MAX};

/// An edit whose comment makes it so long, with its end.
fn addition_of(length: usize) -> Vec<u8> {
    let (start, end) = (r#"{"version":1,"request":{"add":{"list":"block","ips":["10.0.0.1"#, "\"]}}}\n");
    let room = length - start.len() - end.len();
    // Prefixes of 11 bytes each, and white space for the rest.
    let more = "\",\"10.0.0.1".repeat(room / 11);
    [start, &more, end.trim_end(), &" ".repeat(room % 11), "\n"].concat().into_bytes()
}

#[tokio::test]
async fn nonsense_is_answered_with_what_is_wrong() {
    let (_dir, control) = open();
    let nested = [&b"{\"version\":1,\"request\":"[..], &b"[".repeat(30_000), b"\n"].concat();
    let unknown = [&b"{\"version\":1,\"request\":\""[..], &b"x".repeat(60_000), b"\"}\n"].concat();
    let edit = |rest: &str| format!("{{\"version\":1,\"request\":{{{rest}}}}}\n").into_bytes();
    for (case, request, wrong) in [
        ("empty", b"\n".to_vec(), "no request"),
        ("not JSON", b"GET / HTTP/1.1\r\n".to_vec(), "no request"),
        ("not UTF-8", b"\"\xff\xfe\"\n".to_vec(), "no request"),
        ("NUL", b"\0\n".to_vec(), "no request"),
        ("NUL in a text", edit("\"add\":{\"list\":\"allow\",\"ips\":[\"10.0.0.1\\u0000\"]}"), "prefix 1"),
        ("nested", nested, "no request"),
        ("a long name", unknown, "unknown variant"),
        ("another version", b"{\"version\":2,\"request\":\"status\"}\n".to_vec(), "version 2"),
        ("an unknown field", edit("\"list\":{\"list\":\"allow\",\"all\":true}"), "unknown field `all`"),
        ("no list", edit("\"list\":{\"list\":\"deny\"}"), "unknown variant `deny`"),
        (
            "no prefix",
            edit("\"add\":{\"list\":\"allow\",\"ips\":[\"10.0.0.1\",\"10.0.0.0/33\"]}"),
            "prefix 2 (\"10.0.0.0/33\")",
        ),
        ("no prefixes", edit("\"add\":{\"list\":\"allow\",\"ips\":[]}"), "no prefixes"),
        ("numbers", edit("\"add\":{\"list\":\"allow\",\"ips\":[1]}"), "invalid type"),
        (
            "services of a block",
            edit("\"add\":{\"list\":\"block\",\"ips\":[\"10.0.0.1\"],\"services\":[\"web\"]}"),
            "`services`",
        ),
        ("no duration", edit("\"add\":{\"list\":\"block\",\"ips\":[\"10.0.0.1\"],\"ttl\":\"soon\"}"), "soon"),
        (
            "two lines",
            edit("\"add\":{\"list\":\"block\",\"ips\":[\"10.0.0.1\"],\"comment\":\"a\\nb\"}"),
            "a comment is one line",
        ),
        ("nothing to remove", edit("\"remove\":{\"list\":\"allow\"}"), "`ips` or by `name`"),
        (
            "both",
            edit("\"remove\":{\"list\":\"allow\",\"ips\":[\"10.0.0.1\"],\"name\":\"home\"}"),
            "`ips` or by `name`",
        ),
        ("lift with more", edit("\"lift\":{\"ttl\":\"1h\"}"), "unknown field `ttl`"),
    ] {
        let mut stream = connect(&control).await;
        for _ in 0..2 {
            stream.write_all(&request).await.unwrap();
            let (kind, error) = failure(&mut stream).await;
            assert_eq!(kind, "request", "{case}: {error}");
            assert!(error.contains(wrong), "{case}: {error}");
            assert!(error.len() < 1100, "{case}: {} bytes", error.len());
        }
    }
}

#[tokio::test]
async fn what_has_no_end_is_answered_and_ended() {
    let (_dir, control) = open_to(Readers::Everyone);
    for (case, mut stream, length, wrong) in [
        ("half a request", connect(&control).await, 20, "without an end"),
        ("a member's, too long", connect(&control).await, LONG_REQUEST_MAX, "longer than 32768 KiB"),
        ("another's, too long", connect_as_nobody(&control), REQUEST_MAX, "longer than 64 KiB"),
    ] {
        let (reader, mut writer) = stream.split();
        let send = async {
            writer.write_all(&vec![b' '; length]).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let read = async {
            let mut line = String::new();
            BufReader::new(reader).read_to_string(&mut line).await.unwrap();
            line
        };
        let ((), line) = tokio::join!(send, read);
        assert!(line.contains(wrong) && line.lines().count() == 1, "{case}: {line}");
    }
}

#[tokio::test]
async fn long_requests_are_for_those_who_may_change() {
    let (_dir, mut control) = open_to(Readers::Everyone);
    for length in [REQUEST_MAX, REQUEST_MAX + 1, LONG_REQUEST_MAX / 4] {
        let request = addition_of(length);
        assert_eq!(request.len(), length);
        let mut stream = connect(&control).await;
        stream.write_all(&request).await.unwrap();
        let Some(Question::Edit { edit: Edit::Add(addition), answer, .. }) = control.questions.recv().await else {
            panic!("{length}: no edit was asked for");
        };
        assert_eq!(addition.prefixes.len(), 1, "{length}");
        drop(answer);
        assert_eq!(failure(&mut stream).await.0, "unavailable", "{length}");
    }
    let mut stream = connect_as_nobody(&control);
    // The rest may not be taken any more.
    let _ = stream.write_all(&addition_of(REQUEST_MAX + 100)).await;
    assert_eq!(failure(&mut stream).await.0, "request");
}

#[tokio::test]
async fn one_long_request_at_a_time() {
    let (_dir, mut control) = open();
    let request = addition_of(2 * REQUEST_MAX);
    let (mut first, mut second) = (connect(&control).await, connect(&control).await);
    first.write_all(&request).await.unwrap();
    let Some(Question::Edit { answer, .. }) = control.questions.recv().await else { panic!("no edit was asked for") };
    second.write_all(&request).await.unwrap();
    let mut short = connect(&control).await;
    short.write_all(&addition_of(1000)).await.unwrap();
    let Some(Question::Edit { edit: Edit::Add(addition), .. }) = control.questions.recv().await else {
        panic!("no edit was asked for")
    };
    assert_eq!(addition.prefixes.len(), 1);
    assert!(timeout(Duration::from_millis(200), control.questions.recv()).await.is_err(), "the second has its turn");
    drop(answer);
    failure(&mut first).await;
    let next = timeout(PATIENCE, control.questions.recv()).await.unwrap();
    assert!(matches!(next, Some(Question::Edit { .. })));
}

#[tokio::test(start_paused = true)]
async fn who_stalls_is_let_go() {
    let (_dir, control) = open();
    for (case, said) in
        [("silent", &b""[..]), ("half a request", b"{\"version\":1,"), ("half a long one", &[b' '; REQUEST_MAX])]
    {
        let mut stream = connect(&control).await;
        stream.write_all(said).await.unwrap();
        let end = timeout(Duration::from_secs(40), stream.read(&mut [0])).await;
        assert_eq!(end.unwrap_or_else(|_| panic!("{case} is served on")).unwrap(), 0, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_trickles_in_is_let_go() {
    let (_dir, control) = open();
    let mut stream = connect(&control).await;
    let began = tokio::time::Instant::now();
    while stream.write_all(b" ").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(began.elapsed() < 2 * PATIENCE, "it is served on");
    }
}
