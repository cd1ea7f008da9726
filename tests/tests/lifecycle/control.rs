//! The control socket: what hostile clients send, or fail to read, keeps nobody else from an answer.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use guard_tests::{Guard, Link};
use serde_json::Value;

use super::scene::{assert_guarded, options, two_hosts};

const STATUS: &[u8] = b"{\"version\":1,\"request\":\"status\"}\n";
/// Less than the commands' own patience.
const PROMPTLY: Duration = Duration::from_secs(4);

fn connect(link: &Link) -> UnixStream {
    let socket = Guard::runtime_directory(link.left.host()).join("default.sock");
    let stream = UnixStream::connect(link.left.host().outside(socket)).expect("the daemon listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket takes a time limit");
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a socket takes a time limit");
    stream
}

/// Sends bytes and returns the one line that comes back.
fn answer(mut stream: &UnixStream, request: &[u8]) -> Value {
    stream.write_all(request).expect("the daemon reads");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("the daemon answers");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[track_caller]
fn assert_answers(guard: &Guard, case: &str) {
    let start = Instant::now();
    let answer = guard.ask(&["status"]);
    assert!(answer.status.success(), "{case}: {answer:?}");
    assert!(start.elapsed() < PROMPTLY, "{case}: an answer after {:?}", start.elapsed());
}

#[test]
fn nonsense_is_answered_with_what_is_wrong() {
    let link = two_hosts();
    let guard = Guard::run(link.left.host(), options());
    for (request, wrong) in [
        (&b"GET / HTTP/1.1\r\n"[..], "no request"),
        (b"\n", "no request"),
        (b"\xff\xfe\x00\n", "no request"),
        (b"{}\n", "no request"),
        (b"[1]\n", "no request"),
        (b"{\"version\":1,\"request\":\"shutdown\"}\n", "no request"),
        (b"{\"version\":1,\"request\":\"status\",\"more\":1}\n", "no request"),
        (b"{\"version\":2,\"request\":\"status\"}\n", "version 2"),
    ] {
        let case = String::from_utf8_lossy(request);
        let stream = connect(&link);
        let error = answer(&stream, request);
        assert!(error["error"].as_str().is_some_and(|error| error.contains(wrong)), "{case:?}: {error}");
        assert_eq!(
            answer(&stream, STATUS)["ok"]["instance"],
            "default",
            "{case:?}: then a request on the same connection"
        );
    }
    assert_answers(&guard, "after nonsense");
}

#[test]
fn a_line_without_end_is_cut_off() {
    let link = two_hosts();
    let guard = Guard::run(link.left.host(), options());
    let mut stream = connect(&link);
    let mut sent = 0;
    let refused = loop {
        match stream.write(&[b'x'; 64 << 10]) {
            Ok(length) => sent += length,
            Err(error) => break error.kind(),
        }
        assert!(sent < 40 << 20, "{sent} bytes of one line were taken");
    };
    assert!(matches!(refused, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{refused}");
    assert_answers(&guard, "after an endless line");
}

#[test]
fn clients_that_say_nothing_keep_nobody_waiting() {
    let link = two_hosts();
    let guard = Guard::run(link.left.host(), options());
    let silent: Vec<UnixStream> = (0..100).map(|_| connect(&link)).collect();
    assert_answers(&guard, "beside 100 silent clients");
    let half: Vec<UnixStream> = (0..100).map(|_| connect(&link)).collect();
    for mut stream in &half {
        // One that came early may have been let go for one that came late.
        let _ = stream.write_all(&STATUS[..10]);
    }
    assert_answers(&guard, "beside 100 half requests");
    assert_guarded(&link, "beside 200 clients");
    drop((silent, half));
}

#[test]
fn a_silent_client_is_let_go() {
    let link = two_hosts();
    let _guard = Guard::run(link.left.host(), options());
    let mut stream = connect(&link);
    assert_eq!(stream.read(&mut [0]).expect("the daemon ends the connection"), 0);
}

#[test]
fn clients_that_never_read_keep_nobody_waiting() {
    let link = two_hosts();
    let mut guard = Guard::run(link.left.host(), options());
    let deaf: Vec<UnixStream> = (0..10).map(|_| connect(&link)).collect();
    for mut stream in &deaf {
        // Until the daemon does not take any more, because its answers are not read.
        while stream.write_all(&STATUS.repeat(1000)).is_ok() {}
    }
    assert_answers(&guard, "beside clients that never read");
    assert!(guard.stop().success(), "the daemon ends although its clients do not read");
    drop(deaf);
}
