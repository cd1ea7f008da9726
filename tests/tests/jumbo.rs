//! Frames larger than a page: what is in them is judged by headers wherever those lie.

use std::{
    io::{Read, Write},
    net::IpAddr,
    thread,
    time::Duration,
};

use guard_tests::{
    Counters, Guard, Probe, Site, Sniffer, client,
    frame::{Extension, FIN, Frame, SYN},
    in_each_cell,
    server::{HttpServer, TcpEcho, UdpEcho},
    wait,
};

const SOON: Duration = Duration::from_secs(10);
const SHORTLY: Duration = Duration::from_millis(400);
const MTU: usize = 9000;
const BODY: usize = 8000;

fn guarded(site: &Site) -> Guard {
    site.link.set_mtu(MTU as u32);
    site.guard(
        r#"
        allow.ips = ["192.0.2.1", "2001:db8:1::1"]
        service = [{ name = "web", ports = ["tcp/3000", "udp/3000"] }]
        "#,
    )
}

fn sources(site: &Site) -> [IpAddr; 2] {
    let texts = site.cell.pick(["192.0.2.1", "203.0.113.9"], ["2001:db8:1::1", "2001:db8:9::9"]);
    texts.map(|text| text.parse().expect("an address"))
}

#[test]
fn large_payloads_pass_whole_or_not_at_all() {
    in_each_cell(|cell| {
        let site = Site::new(cell);
        let [listed, unlisted] = sources(&site);
        site.add_sources([listed, unlisted]);
        let (http, echo) = (HttpServer::start(site.host(), 3000), UdpEcho::start(site.host(), 3000));
        let guard = guarded(&site);
        let large = Sniffer::start(site.host(), "eth0", |frame| frame.len() > BODY);

        let datagram: Vec<u8> = (0..BODY).map(|place| place as u8).collect();
        let exchange = |source, limit| client::udp_exchange(site.peer(), source, site.at(3000), &datagram, limit);
        assert_eq!(exchange(listed, SOON).unwrap(), Some(datagram.clone()));
        assert_eq!(exchange(unlisted, SHORTLY).unwrap(), None);
        assert_eq!((echo.datagrams(), large.count()), (1, 1));
        assert_eq!(Counters::read(&guard).packets("web drop not_allowed"), 1);

        let mut stream = client::connect(site.peer(), listed, site.at(3000), SOON).unwrap();
        let request = format!("GET / HTTP/1.1\r\nX-Padding: {}\r\n\r\n", "x".repeat(3 * BODY));
        stream.write_all(request.as_bytes()).unwrap();
        wait::eventually("the request is answered", SOON, || http.requests() == 1);
        assert!(large.stop() >= 2, "the request went in small segments");
    });
}

#[test]
fn headers_are_read_wherever_they_lie() {
    in_each_cell(|cell| {
        let site = Site::with_silent_peer(cell);
        let guard = guarded(&site);
        let [listed, unlisted] = sources(&site);
        let plain = |source, flags| site.packet(source).tcp(40000, 3000, flags).payload(vec![0x5a; BODY]).build();
        let mut cases = vec![
            ("8 kB, listed", plain(listed, SYN), "web pass allowed"),
            ("8 kB, unlisted", plain(unlisted, SYN), "web drop not_allowed"),
            ("8 kB, impossible flags", plain(listed, FIN), "web drop malformed"),
            ("8 kB behind tags, listed", tagged(&site, listed), "web pass allowed"),
            ("8 kB behind tags, unlisted", tagged(&site, unlisted), "web drop not_allowed"),
        ];
        if cell.pick(false, true) {
            cases.extend(behind_pages(&site, [listed, unlisted]));
        }
        Probe::new(&site, &guard).expect(cases);
    });
}

#[test]
fn segments_pass_in_one_piece_where_they_come_so() {
    in_each_cell(|cell| {
        // In native mode the peer cuts its segments to the wire's size.
        if cell.xdp_mode == "native" {
            return;
        }
        let site = Site::new(cell);
        let [listed, _] = sources(&site);
        site.add_sources([listed]);
        let _echo = TcpEcho::start(site.host(), 3000);
        let guard = guarded(&site);
        let large = Sniffer::start(site.host(), "eth0", |frame| frame.len() > 2 * MTU);
        let mut stream = client::connect(site.peer(), listed, site.at(3000), SOON).unwrap();
        let (sent, mut returned) = (vec![0x5a; 4 << 20], Vec::new());
        let mut sender = stream.try_clone().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| sender.write_all(&sent).unwrap());
            returned.resize(sent.len(), 0);
            stream.read_exact(&mut returned).unwrap();
        });
        assert!(returned == sent, "what came back is not what was sent");
        assert!(large.stop() > 0, "the segments were cut to the wire's size");
        assert_eq!(Counters::read(&guard).with_verdict("drop"), Default::default());
    });
}

fn tagged(site: &Site, source: IpAddr) -> Vec<u8> {
    let frame = site.ethernet().service_vlan(7).vlan(5).ip(source, site.address());
    frame.tcp(40000, 3000, SYN).payload(vec![0x5a; BODY]).build()
}

/// IPv6 packets whose transport header lies beyond a page of options, which no IPv4 header can reach.
fn behind_pages(site: &Site, [listed, unlisted]: [IpAddr; 2]) -> [(&'static str, Vec<u8>, &'static str); 7] {
    let options = |source, headers: usize| {
        (0..headers).fold(site.packet(source), |frame, _| frame.layer(Extension::destination(&[0; 2046])))
    };
    let syn = |frame: Frame| frame.tcp(40000, 3000, SYN).build();
    [
        ("TCP behind 2 kB of options, listed", syn(options(listed, 1)), "web pass allowed"),
        ("TCP behind 4 kB of options, listed", syn(options(listed, 2)), "web pass allowed"),
        ("TCP behind 8 kB of options, listed", syn(options(listed, 4)), "web pass allowed"),
        ("TCP behind 4 kB of options, unlisted", syn(options(unlisted, 2)), "web drop not_allowed"),
        ("TCP behind 8 kB of options, unlisted", syn(options(unlisted, 4)), "web drop not_allowed"),
        ("no flags behind 4 kB of options", options(listed, 2).tcp(40000, 3000, 0).build(), "web drop malformed"),
        ("half of TCP behind 4 kB of options", half(options(listed, 2)), "- drop malformed"),
    ]
}

/// The packet ends within the TCP header that its last option header announces.
fn half(options: Frame) -> Vec<u8> {
    options.layer(Extension::destination(&[]).next_header(6)).payload([0; 10]).build()
}
