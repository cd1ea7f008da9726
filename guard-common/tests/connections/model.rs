//! Any history of connections beside lists of them.

use guard_common::connections::{Caps, ConnectionKey, HANDSHAKE_NS, PERIOD_NS};
use proptest::{prelude::*, sample::select};

use crate::host::{Client, Host, S, capped};

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Syn(Client),
    Establish(Client),
    Reset(Client),
    Evict(Client),
    /// One of those that are open.
    Close(usize),
}

/// Connections in lists.
#[derive(Default)]
struct Lists {
    /// Those under way, each with when it began.
    under_way: Vec<(Client, u64)>,
    open: Vec<Client>,
    /// Whose handshakes are counted, and when each began; also those of which nothing more is known.
    counted: Vec<(ConnectionKey, u64)>,
}

impl Lists {
    /// Tells whether a SYN is let in, and notes it.
    fn syn(&mut self, client: &Client, caps: &Caps, now: u64) -> bool {
        if let Some((known, began)) = self.find(client)
            && now - began < HANDSHAKE_NS
        {
            let place = |it: &Client| (it.service, it.own, it.destination_port);
            return place(&known) == place(client);
        }
        let of_service = self.open.iter().filter(|other| other.service == client.service).count();
        let is_full = caps.max != 0 && of_service >= caps.max as usize;
        let is_over = caps.max_per_source != 0 && self.of_source(client, now) >= caps.max_per_source as usize;
        if is_full || is_over {
            return false;
        }
        self.forget(client);
        self.under_way.push((*client, now));
        if caps.max_per_source != 0 {
            self.counted.push((client.connections(), now));
        }
        true
    }

    fn of_source(&self, client: &Client, now: u64) -> usize {
        let key = client.connections();
        let is_counted =
            |(whose, began): &&(ConnectionKey, u64)| *whose == key && now / PERIOD_NS - began / PERIOD_NS <= 3;
        let open = self.open.iter().filter(|other| other.connections() == key).count();
        open + self.counted.iter().filter(is_counted).count()
    }

    /// Takes a handshake out; returns it if there is one.
    fn end(&mut self, client: &Client) -> Option<Client> {
        let (ended, began) = self.find(client)?;
        self.forget(client);
        let counted = self.counted.iter().position(|counted| *counted == (ended.connections(), began));
        if let Some(place) = counted {
            self.counted.swap_remove(place);
        }
        Some(ended)
    }

    fn forget(&mut self, client: &Client) {
        self.under_way.retain(|(other, _)| !is_same_port(other, client));
    }

    fn find(&self, client: &Client) -> Option<(Client, u64)> {
        self.under_way.iter().find(|(other, _)| is_same_port(other, client)).copied()
    }
}

fn is_same_port(left: &Client, right: &Client) -> bool {
    (left.source, left.source_port) == (right.source, right.source_port)
}

fn clients() -> impl Strategy<Value = Client> {
    (select(vec![4, 6]), 1..=2_u8, 1..=6_u16, 1..=3_u8, prop::bool::weighted(0.1), 0..2_u32).prop_map(
        |(version, source, source_port, service, elsewhere, sequence)| Client {
            service,
            destination_port: 3_000 + u16::from(service),
            own: 1 + u8::from(elsewhere),
            sequence,
            ..Client::of(version, source, source_port)
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let waits = prop_oneof![4 => 0..5 * S, 2 => 0..100 * S, 1 => 0..86_400 * S];
    let step = prop_oneof![
        2 => waits.prop_map(Step::Wait),
        12 => clients().prop_map(Step::Syn),
        6 => clients().prop_map(Step::Establish),
        2 => clients().prop_map(Step::Reset),
        1 => clients().prop_map(Step::Evict),
        3 => any::<usize>().prop_map(Step::Close),
    ];
    prop::collection::vec(step, 1..150)
}

/// What a service is held to, by its number: one each of nothing, a source alone, and both.
fn caps(service: u8, many: u32) -> Caps {
    match service {
        1 => capped(0, many),
        2 => capped(2 * many, many),
        _ => capped(many, 0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn who_is_let_in_is_who_there_is_room_for(steps in steps(), many in 1..5_u32) {
        let (host, mut lists) = (Host::default(), Lists::default());
        let mut now = 1_000 * S;
        for step in steps {
            match step {
                Step::Wait(ns) => now += ns,
                Step::Syn(client) => {
                    let caps = caps(client.service, many);
                    prop_assert_eq!(host.syn(&client, &caps, now), lists.syn(&client, &caps, now), "{:?}", client);
                    let young = |(other, began): &&(Client, u64)| {
                        other.connections() == client.connections() && now - began < HANDSHAKE_NS
                    };
                    let under_way = lists.under_way.iter().filter(young).count() as u64;
                    let is_held = caps.max_per_source == 0 || under_way + host.open_of(&client) <= u64::from(many);
                    prop_assert!(is_held, "{} under way, {} open", under_way, host.open_of(&client));
                }
                Step::Establish(client) => {
                    // What takes longer the host's own stack has given up.
                    if lists.find(&client).is_some_and(|(_, began)| now - began < HANDSHAKE_NS) {
                        let ended = lists.end(&client);
                        lists.open.extend(ended);
                        prop_assert!(host.establish(&ended.unwrap_or(client), now));
                    }
                }
                Step::Reset(client) => host.end(&lists.end(&client).unwrap_or(client), now),
                Step::Evict(client) => {
                    lists.forget(&client);
                    host.evict(&client);
                }
                Step::Close(nth) if !lists.open.is_empty() => {
                    let closed = lists.open.swap_remove(nth % lists.open.len());
                    host.close(&closed);
                }
                Step::Close(_) => {}
            }
        }
    }
}
