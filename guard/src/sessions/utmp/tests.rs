use super::*;

/// A record as login programs write it.
pub(in crate::sessions) fn record(
    kind: i16,
    pid: i32,
    line: &str,
    name: &str,
    host: &str,
    address: [u8; 16],
) -> Vec<u8> {
    let mut record = vec![0; size_of::<utmpx>()];
    let mut put = |offset: usize, bytes: &[u8]| record[offset..][..bytes.len()].copy_from_slice(bytes);
    put(offset_of!(utmpx, ut_type), &kind.to_ne_bytes());
    put(offset_of!(utmpx, ut_pid), &pid.to_ne_bytes());
    put(offset_of!(utmpx, ut_line), line.as_bytes());
    put(offset_of!(utmpx, ut_user), name.as_bytes());
    put(offset_of!(utmpx, ut_host), host.as_bytes());
    put(offset_of!(utmpx, ut_addr_v6), &address);
    record
}

fn v4(octets: [u8; 4]) -> [u8; 16] {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&octets);
    address
}

#[test]
fn the_peer_of_a_user_is_read() {
    let documentation: Ipv6Addr = "2001:db8::7".parse().unwrap();
    for (case, host, address, expected) in [
        ("an IPv4 address", "192.0.2.7", v4([192, 0, 2, 7]), Some("192.0.2.7")),
        ("an IPv6 address", "2001:db8::7", documentation.octets(), Some("2001:db8::7")),
        ("a mapped address", "", "::ffff:192.0.2.7".parse::<Ipv6Addr>().unwrap().octets(), Some("192.0.2.7")),
        ("the address of a name", "home.example", v4([192, 0, 2, 7]), Some("192.0.2.7")),
        ("text alone", "192.0.2.7", [0; 16], Some("192.0.2.7")),
        ("link-local text", "fe80::7%eth0", [0; 16], Some("fe80::7")),
        ("a name alone", "home.example", [0; 16], None),
        ("a display", ":0", [0; 16], None),
        ("a multiplexer", "tmux(812).%0", [0; 16], None),
        ("a console", "", [0; 16], None),
    ] {
        let users = parse(&record(USER_PROCESS, 812, "pts/0", "alice", host, address));
        let host = expected.map(|host| host.parse().unwrap());
        let user = User { pid: Pid::from_raw(812), name: "alice".to_owned(), line: "pts/0".to_owned(), host };
        assert_eq!(users, [user], "{case}");
    }
}

#[test]
fn only_whole_records_of_users_count() {
    let of_kind = |kind| record(kind, 812, "pts/0", "alice", "192.0.2.7", [0; 16]);
    let every_kind: Vec<u8> = (0..=9).flat_map(of_kind).collect();
    assert_eq!(parse(&every_kind).len(), 1);
    assert_eq!(parse(&[]), []);
    assert_eq!(parse(&of_kind(USER_PROCESS)[1..]), []);
    let torn = [of_kind(USER_PROCESS), vec![0xff; 100]].concat();
    assert_eq!(parse(&torn).len(), 1);
    let noise: Vec<u8> = (0..100 * size_of::<utmpx>()).map(|at| (at * 31 % 251) as u8).collect();
    parse(&noise);
}

#[test]
fn text_may_fill_its_field() {
    let long = "x".repeat(NAME_LEN);
    let users = parse(&record(USER_PROCESS, 1, &long, &long, "", [0; 16]));
    assert_eq!((&users[0].name, &users[0].line), (&long, &long));
    let users = parse(&record(USER_PROCESS, 1, "", "\u{1b}[2J", "", [0; 16]));
    assert_eq!(users[0].name, "\u{1b}[2J");
}
