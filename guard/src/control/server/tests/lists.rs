//! Lists in pages, and clients that do not read them.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;

use super::*;
use crate::{clock::Clock, samples};

const LIST: &[u8] = b"{\"version\":1,\"request\":{\"list\":{\"list\":\"allow\"}}}\n";

/// A list of so many addresses.
fn listing(length: u32) -> Listing {
    let address = |number| IpNet::V4(Ipv4Net::from(Ipv4Addr::from_bits(0x0a00_0000 + number)));
    let allow: Vec<IpNet> = (0..length).map(address).collect();
    Listing {
        list: List::Allow,
        policy: Arc::new(samples::policy(&allow, &[], Vec::new())),
        timed: Arc::default(),
        live: Arc::default(),
        bans: Vec::new(),
        unenforced: Arc::default(),
        entries_file: PathBuf::from("entries.json"),
        used: Vec::new(),
        used_since: Timestamp::UNIX_EPOCH,
        clock: Clock { wall: Timestamp::UNIX_EPOCH, boot: Duration::ZERO },
        generation: 7,
    }
}

/// Asks for a list; returns where the daemon answers.
async fn ask_list(control: &mut Control, stream: &mut UnixStream) -> oneshot::Sender<Listing> {
    stream.write_all(LIST).await.unwrap();
    match control.questions.recv().await {
        Some(Question::List { answer, .. }) => answer,
        _ => panic!("no list was asked for"),
    }
}

#[tokio::test]
async fn a_list_comes_in_pages_and_then_the_next_answer() {
    let (_dir, mut control) = open();
    let mut stream = connect(&control).await;
    let answer = ask_list(&mut control, &mut stream).await;
    assert!(answer.send(listing(2500)).is_ok());
    stream.write_all(b"{}\n").await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut next =
        async || -> serde_json::Value { serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap() };
    for (entries, last) in [(1000, false), (1000, false), (500, true)] {
        let page = next().await;
        let page = &page["ok"];
        assert_eq!(page["entries"].as_array().map(Vec::len), Some(entries));
        assert_eq!((&page["last"], &page["generation"]), (&last.into(), &7.into()));
    }
    assert_eq!(next().await["kind"], "request");
}

#[tokio::test]
async fn who_does_not_read_a_list_is_let_go_and_holds_up_nobody() {
    let (_dir, mut control) = open_to(Readers::Everyone);
    let mut deaf = Vec::new();
    for _ in 0..2 {
        let mut stream = connect_as_nobody(&control);
        let answer = ask_list(&mut control, &mut stream).await;
        assert!(answer.send(listing(100_000)).is_ok());
        deaf.push(stream);
    }
    // No more lists for those who are like them, but other questions.
    let mut other = connect_as_nobody(&control);
    other.write_all(LIST).await.unwrap();
    assert_eq!(failure(&mut other).await.0, "busy");
    other.write_all(b"{\"version\":1,\"request\":\"status\"}\n").await.unwrap();
    assert!(matches!(control.questions.recv().await, Some(Question::Status(_))));
    let mut stream = connect(&control).await;
    assert!(ask_list(&mut control, &mut stream).await.send(listing(1)).is_ok());
    assert!(line(&mut stream).await.ends_with("\"last\":true}}\n"));
    // A client that goes leaves its turn to the next.
    drop(deaf);
    let mut stream = connect_as_nobody(&control);
    let answer = timeout(PATIENCE, ask_list(&mut control, &mut stream)).await.unwrap();
    assert!(answer.send(listing(1)).is_ok());
    assert!(line(&mut stream).await.ends_with("\"last\":true}}\n"));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_read_ends() {
    let (_dir, mut control) = open();
    let mut stream = connect(&control).await;
    let answer = ask_list(&mut control, &mut stream).await;
    assert!(answer.send(listing(100_000)).is_ok());
    // Until it is not taken any more.
    stream.readable().await.unwrap();
    tokio::time::advance(Duration::from_secs(61)).await;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("\"last\":false") && !text.contains("\"last\":true"), "it was told whole");
}
