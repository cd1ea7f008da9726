//! Clients whose handshakes were under way when a service's cap was reached: those beyond it are closed again.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use guard_tests::{
    Counted, Handshakes,
    counted::{WEB, open},
    in_each_family,
};

use crate::scene::{QUIET, SOON, close_lines, closed, wait_open};

const CLIENTS: u16 = 200;
const CAP: u64 = 10;
/// How long the overshoot may last, and asking for it may take.
const GONE: Duration = Duration::from_secs(1);

#[test]
fn it_is_gone_within_a_second() {
    in_each_family(|cell| {
        let counted = Counted::silent(cell);
        let _server = counted.serve(WEB);
        let guard = counted.web("max_connections = 10");
        let handshakes = Handshakes::at(&counted.site, WEB);
        let clients: Vec<SocketAddr> = (1..=CLIENTS).map(|number| (counted.client(number), 1234).into()).collect();
        handshakes.begin(&clients);
        let accepted = handshakes.answers(QUIET).accepted;
        assert_eq!(accepted.len(), clients.len(), "{cell}: only what is open counts");
        let started = Instant::now();
        handshakes.complete(accepted.values());
        let most = open(&guard);
        wait_open(&guard, &cell.to_string(), CAP, GONE);
        println!("{cell}: {most} seen open of {CAP}, gone after {:?}", started.elapsed());
        let reset = handshakes.answers(QUIET).reset;
        assert_eq!(reset.len() as u64, u64::from(CLIENTS) - CAP, "{cell}: connections reset");
        assert_eq!(closed(&guard, "web", "cap"), u64::from(CLIENTS) - CAP, "{cell}");
        guard_tests::wait::eventually("the log has them", SOON, || close_lines(&guard, "cap") == reset.len());

        // It is full, and stays as it is.
        let later: Vec<SocketAddr> = (1..=CLIENTS).map(|number| (counted.client(number), 2345).into()).collect();
        handshakes.begin(&later);
        let answers = handshakes.answers(QUIET);
        assert!(answers.accepted.is_empty() && answers.reset.is_empty(), "{cell}: {answers:?}");
        assert_eq!(open(&guard), CAP, "{cell}");
    });
}
