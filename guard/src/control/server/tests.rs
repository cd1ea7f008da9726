//! Whose connection ends when there are too many, and what becomes of the question of a client that goes.

mod documented;
mod hostile;
mod lists;
mod permits;

use std::{net::Shutdown, os::unix::net};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    task::yield_now,
    time::timeout,
};

use super::{connection::PATIENCE, *};
use crate::control::peer::tests::{NOBODY, open_to_all};

const RELOAD: &[u8] = b"{\"version\":1,\"request\":{\"reload\":{\"force\":false}}}\n";

/// An open socket in a directory of its own.
fn open() -> (TempDir, Control) {
    open_to(Readers::Group)
}

fn open_to(readers: Readers) -> (TempDir, Control) {
    let dir = tempfile::tempdir().unwrap();
    open_to_all(dir.path(), 0o755);
    let control = Control::open(&dir.path().join("socket"), readers).unwrap();
    (dir, control)
}

async fn connect(control: &Control) -> UnixStream {
    UnixStream::connect(&control.path).await.unwrap()
}

/// Connects as a user who may change nothing.
fn connect_as_nobody(control: &Control) -> UnixStream {
    let stream = NOBODY.enter(|| net::UnixStream::connect(&control.path)).unwrap();
    stream.set_nonblocking(true).unwrap();
    UnixStream::from_std(stream).unwrap()
}

/// Asks for a reload; returns the connection and where the daemon answers.
async fn ask(control: &mut Control) -> (UnixStream, oneshot::Sender<Outcome>) {
    let mut stream = connect(control).await;
    stream.write_all(RELOAD).await.unwrap();
    match control.questions.recv().await {
        Some(Question::Reload { answer, .. }) => (stream, answer),
        _ => panic!("no reload was asked for"),
    }
}

fn refused() -> Outcome {
    let error = anyhow::anyhow!("told so");
    Outcome::Refused(crate::reload::Refused::new(&error, 7))
}

/// Reads the next answer.
async fn line(stream: &mut UnixStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.unwrap();
    line
}

/// Reads why a request was refused: the kind and the text.
async fn failure(stream: &mut UnixStream) -> (String, String) {
    let answer: serde_json::Value = serde_json::from_str(&line(stream).await).unwrap();
    let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (text("kind"), text("error"))
}

#[tokio::test]
async fn who_waits_for_an_answer_is_not_ended_for_others() {
    let (_dir, mut control) = open();
    let (mut waiting, answer) = ask(&mut control).await;
    let mut silent = Vec::new();
    for _ in 0..2 * crowd::MOST {
        silent.push(connect(&control).await);
    }
    assert_eq!(silent[0].read(&mut [0]).await.unwrap(), 0, "the oldest that says nothing is ended");
    assert!(!answer.is_closed());
    answer.send(refused()).unwrap();
    let line = line(&mut waiting).await;
    assert!(line.contains("told so"), "{line}");
}

#[tokio::test]
async fn the_question_of_a_client_that_goes_is_given_up() {
    let (_dir, mut control) = open();
    let (stream, mut answer) = ask(&mut control).await;
    drop(stream);
    timeout(PATIENCE, answer.closed()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_has_said_all_still_gets_its_answer() {
    let (_dir, mut control) = open();
    let (stream, answer) = ask(&mut control).await;
    let stream = stream.into_std().unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut stream = UnixStream::from_std(stream).unwrap();
    for _ in 0..100 {
        yield_now().await;
    }
    answer.send(refused()).unwrap();
    let mut line = String::new();
    stream.read_to_string(&mut line).await.unwrap();
    assert!(line.contains("told so"), "{line}");
}
