//! Whose connection ends when there are too many, and what becomes of the question of a client that goes.

use std::net::Shutdown;

use tempfile::TempDir;
use tokio::{io::AsyncReadExt as _, task::yield_now};

use super::*;

const RELOAD: &[u8] = b"{\"version\":1,\"request\":{\"reload\":{\"force\":false}}}\n";

/// An open socket in a directory of its own.
fn open() -> (TempDir, Control) {
    let dir = tempfile::tempdir().unwrap();
    let control = Control::open(&dir.path().join("socket")).unwrap();
    (dir, control)
}

async fn connect(control: &Control) -> UnixStream {
    UnixStream::connect(&control.path).await.unwrap()
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

#[tokio::test]
async fn who_waits_for_an_answer_is_not_ended_for_others() {
    let (_dir, mut control) = open();
    let (mut waiting, answer) = ask(&mut control).await;
    let mut silent = Vec::new();
    for _ in 0..2 * CONNECTIONS_MAX {
        silent.push(connect(&control).await);
    }
    assert_eq!(silent[0].read(&mut [0]).await.unwrap(), 0, "the oldest that says nothing is ended");
    assert!(!answer.is_closed());
    answer.send(refused()).unwrap();
    let mut line = String::new();
    BufReader::new(&mut waiting).read_line(&mut line).await.unwrap();
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
