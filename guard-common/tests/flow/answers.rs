//! Which packets come in after the host has sent one.

use std::time::Duration;

use guard_common::{
    flow::{Flow, FlowKey, Leaving},
    packet::{
        Fragment, Packet,
        tcp_flag::{ACK, FIN, PSH, RST, SYN},
    },
};

use crate::host::{Family, Host, LISTENING_PORT, OTHER_PORT, SERVICE_PORT, answer, later};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Checks what a host that has sent one packet, under default drop, takes for an answer.
fn check(name: &str, sent: &Packet, cases: &[(&str, Packet, bool)]) {
    for (what, packet, expected) in cases {
        let mut host = Host::new(false);
        assert!(!host.takes(packet), "{name}: {what}, before anything was sent");
        host.send(sent);
        assert_eq!(host.takes(packet), *expected, "{name}: {what}");
    }
}

#[test]
fn answers_come_from_where_the_question_went() {
    for family in Family::BOTH {
        for (name, sent, flags) in [
            ("TCP", family.tcp(OTHER_PORT, SYN), SYN | ACK),
            ("TCP from a service's port", family.tcp(SERVICE_PORT, SYN), SYN | ACK),
            ("TCP from a listening port", family.tcp(LISTENING_PORT, SYN), SYN | ACK),
            ("UDP", family.udp(OTHER_PORT), 0),
        ] {
            let answer = answer(&sent, flags);
            check(
                &format!("{name}, {family:?}"),
                &sent,
                &[
                    ("answer", answer, true),
                    ("from another host", Packet { source: family.elsewhere(), ..answer }, false),
                    ("to another host", Packet { destination: family.elsewhere(), ..answer }, false),
                    ("from another port", Packet { source_port: answer.source_port + 1, ..answer }, false),
                    ("to another port", Packet { destination_port: answer.destination_port + 1, ..answer }, false),
                    ("by another protocol", Packet { protocol: answer.protocol ^ 6 ^ 17, ..answer }, false),
                    ("its question", sent, false),
                    ("first fragment", Packet { fragment: Fragment::First, ..answer }, true),
                    ("later fragment", later(&answer), true),
                    (
                        "later fragment from another host",
                        later(&Packet { source: family.elsewhere(), ..answer }),
                        false,
                    ),
                    ("later fragment by another protocol", later(&Packet { protocol: 47, ..answer }), false),
                ],
            );
        }
    }
}

#[test]
fn a_bare_syn_is_no_answer() {
    for family in Family::BOTH {
        let sent = family.tcp(OTHER_PORT, SYN);
        let with = |flags: u8, expected: bool| ("", answer(&sent, flags), expected);
        check(
            &format!("{family:?}"),
            &sent,
            &[with(SYN, false), with(SYN | PSH, false), with(SYN | FIN, false), with(SYN | ACK, true), with(RST, true)],
        );
    }
}

#[test]
fn udp_from_a_services_port_has_no_answer() {
    for family in Family::BOTH {
        let sent = family.udp(SERVICE_PORT);
        check(
            &format!("{family:?}"),
            &sent,
            &[("answer", answer(&sent, 0), false), ("later fragment", later(&answer(&sent, 0)), false)],
        );
    }
}

#[test]
fn echo_replies_answer_requests() {
    for family in Family::BOTH {
        let sent = family.echo_request();
        let reply = answer(&sent, 0);
        check(
            &format!("{family:?}"),
            &sent,
            &[
                ("reply", reply, true),
                ("another sequence's first fragment", Packet { fragment: Fragment::First, ..reply }, true),
                ("later fragment", later(&reply), true),
                ("other identifier", Packet { detail: reply.detail + 1, ..reply }, false),
                ("from another host", Packet { source: family.elsewhere(), ..reply }, false),
                ("request", Packet { message_type: sent.message_type, ..reply }, false),
                ("error, which nobody has judged", Packet { message_type: 3, ..reply }, false),
            ],
        );
    }
}

#[test]
fn other_protocols_are_answered_by_address() {
    for family in Family::BOTH {
        let sent = family.out(47);
        let back = answer(&sent, 0);
        check(
            &format!("{family:?}"),
            &sent,
            &[
                ("GRE", back, true),
                ("GRE from another host", Packet { source: family.elsewhere(), ..back }, false),
                ("ESP", Packet { protocol: 50, ..back }, false),
                ("later fragment", later(&back), true),
            ],
        );
    }
}

/// Sends each packet after a time, and returns for how long after the last answers come in, to the second.
fn lasts(family: Family, sent: &[(u64, Packet)], came: &[Packet]) -> Option<u64> {
    let after = |wait: u64| {
        let mut host = Host::new(false);
        for (before, packet) in sent {
            host.wait(seconds(*before));
            host.send(packet);
        }
        for packet in came {
            host.takes(packet);
        }
        host.wait(seconds(wait));
        let last = sent.last().map_or(family.udp(OTHER_PORT), |(_, packet)| *packet);
        host.takes(&answer(&last, ACK))
    };
    let mut ends = [1, 119, 120, 179, 180, 86_400 * 365].into_iter().filter(|wait| after(*wait));
    ends.next_back()
}

/// What is sent, each after so many seconds, what comes, and for how long answers come in.
type Case<'a> = (&'a str, &'a [(u64, Packet)], &'a [Packet], Option<u64>);

#[test]
fn flows_end() {
    for family in Family::BOTH {
        let tcp = |flags: u8| family.tcp(OTHER_PORT, flags);
        let back = |flags: u8| answer(&tcp(SYN), flags);
        let (udp, echo) = (family.udp(OTHER_PORT), family.echo_request());
        let for_ever = Some(86_400 * 365);
        let cases: [Case<'_>; 19] = [
            ("UDP", &[(0, udp)], &[], Some(179)),
            ("UDP, kept alive", &[(0, udp), (179, udp)], &[], Some(179)),
            ("UDP, not kept alive by answers", &[(0, udp)], &[answer(&udp, 0)], Some(179)),
            ("UDP, sent again after the end", &[(0, udp), (500, udp)], &[], Some(179)),
            ("echo", &[(0, echo)], &[], Some(179)),
            ("GRE", &[(0, family.out(47))], &[], Some(179)),
            ("SYN", &[(0, tcp(SYN))], &[], for_ever),
            ("data of a connection that is older", &[(0, tcp(ACK))], &[], for_ever),
            ("FIN", &[(0, tcp(SYN)), (9, tcp(FIN | ACK))], &[], Some(119)),
            ("RST", &[(0, tcp(SYN)), (9, tcp(RST))], &[], Some(119)),
            ("peer's FIN", &[(0, tcp(SYN))], &[back(FIN | ACK)], Some(119)),
            ("peer's RST", &[(0, tcp(SYN))], &[back(RST | ACK)], Some(119)),
            ("FIN on both sides", &[(0, tcp(SYN)), (9, tcp(FIN | ACK))], &[back(FIN | ACK)], Some(119)),
            ("FIN again", &[(0, tcp(SYN)), (0, tcp(FIN | ACK)), (60, tcp(FIN | ACK))], &[], Some(1)),
            ("RST again", &[(0, tcp(SYN)), (0, tcp(RST)), (110, tcp(RST))], &[], Some(1)),
            ("FIN, then acknowledging", &[(0, tcp(SYN)), (0, tcp(FIN | ACK)), (110, tcp(ACK))], &[], Some(119)),
            ("FIN, then acknowledging too late", &[(0, tcp(SYN)), (0, tcp(FIN | ACK)), (120, tcp(ACK))], &[], None),
            ("FIN, then a new connection", &[(0, tcp(SYN)), (0, tcp(FIN | ACK)), (1, tcp(SYN))], &[], for_ever),
            ("FIN alone", &[(0, tcp(FIN | ACK))], &[], None),
        ];
        for (name, sent, came, expected) in cases {
            assert_eq!(lasts(family, sent, came), expected, "{family:?}, {name}");
        }
    }
}

#[test]
fn what_a_peer_ended_goes_on_if_this_host_does() {
    for family in Family::BOTH {
        for end in [FIN | ACK, RST] {
            let (data, end) = (family.tcp(OTHER_PORT, ACK), answer(&family.tcp(OTHER_PORT, ACK), end));
            let mut host = Host::new(false);
            host.send(&data);
            assert!(host.takes(&end));
            host.wait(seconds(60));
            host.send(&data);
            host.wait(seconds(3_600));
            assert!(host.takes(&answer(&data, ACK)), "{family:?}");
        }
    }
}

/// Userspace may leave a flow of a client that it cuts as one that is over and closed from here: deleted, it would be made known
/// again by whatever the host still sends to the client.
#[test]
fn a_flow_that_is_over_and_closed_here_is_not_revived_by_what_this_host_still_sends() {
    let over = Flow::CUT;
    for family in Family::BOTH {
        for packet in [family.tcp(OTHER_PORT, ACK), family.udp(OTHER_PORT), family.out(47)] {
            let key = FlowKey::of_outgoing(&packet).expect("it begins a flow");
            for leaving in [Leaving::Nothing, Leaving::Continues, Leaving::Keeps, Leaving::Closes] {
                assert_eq!(over.after_leaving(&key, leaving, 1), None, "{family:?}, {leaving:?}");
            }
            assert_eq!(over.after_leaving(&key, Leaving::Opens, 1), Flow::first(&key, Leaving::Opens, 1), "{family:?}");
            assert!(!over.is_alive(0), "{family:?}");
        }
    }
}
