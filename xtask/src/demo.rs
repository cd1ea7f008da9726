//! The demo: a real server behind guard, real clients on both sides of its allowlist, and what became of each.
//!
//! Everything happens in unnamed network namespaces that are gone with this process, however it ends.

mod clients;
mod report;

use std::{
    env,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use guard_tests::{Guard, Host, Options, Sniffer, Switch, client::http_get, server::HttpServer};
use nix::unistd::geteuid;

use crate::command;
use clients::{Client, clients};
use report::Outcome;

const PORT: u16 = 3000;
const DEFAULT_ALLOWED_IPS: &str = "127.0.0.1,192.168.1.5,10.0.0.0/8,2001:db8::/48";
/// The server's own addresses, IPv4 and IPv6; from the ranges for documentation.
const SERVER: [&str; 2] = ["198.51.100.1", "2001:db8:ffff::1"];
const REQUESTS: usize = 3;
/// Long enough for a client to try twice: the second SYN follows the first after a second.
const PATIENCE: Duration = Duration::from_millis(1_500);
const LOG_LINES: usize = 3;

/// Builds guard and shows it at work; fails if any client got another verdict than the allowlist says.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    ensure!(
        geteuid().is_root(),
        "the demo needs root: it makes network namespaces and loads a program into the kernel"
    );
    command::run(command::cargo(root).args(["build", "--workspace", "--locked"]))?;
    let binary = command::target_dir()?.join("debug/guard");
    let allowed = env::var("ALLOWED_IPS").unwrap_or_else(|_| DEFAULT_ALLOWED_IPS.to_owned());
    let environment = [
        ("ALLOWED_IPS", allowed.as_str()),
        ("GUARD_INTERFACE", "eth0"),
        ("GUARD_PORTS", "tcp/3000"),
        ("GUARD_EVE_FILE", "/run/test/eve.json"),
    ];
    let options = Options { env: &environment, binary: Some(&binary), ..Options::default() };

    let server = Host::new("server");
    let clients = clients(&allowlist(&server, options)?)?;
    println!("\nALLOWED_IPS={allowed}");
    println!("a server on port {PORT} at {}, guarded; {} clients", SERVER.join(" and "), clients.len());

    let switch = Switch::new("switch");
    let wire = switch.connect(&server, "eth0");
    wire.add_addresses(SERVER);
    wire.route_everything();
    let web = HttpServer::start(&server, PORT);
    let mut guard = Guard::run(&server, options);
    println!("$ guard run");
    guard.log().iter().for_each(|line| println!("  {line}"));

    // The server is on the switch's port 0.
    let visits = (1..).zip(&clients).map(|(port, client)| visit(client, &switch, port, &server));
    let outcomes = visits.collect::<anyhow::Result<Vec<_>>>()?;
    let status = guard.ask(&["status"]);
    let counters = guard.status();
    guard.stop();
    let log = server.read("eve.json");
    guard.down();
    drop(web);

    report::print(&outcomes);
    println!("\n$ guard status\n{}", status.stdout.join("\n"));
    println!("\nthe block log, {LOG_LINES} lines of it:");
    log.lines()
        .filter(|line| line.contains(r#""event_type":"drop""#))
        .take(LOG_LINES)
        .for_each(|line| println!("{line}"));
    report::check(&outcomes, &counters, &log)?;
    println!("\nevery verdict is right, guard's counters equal the tester's, and nothing is left behind");
    Ok(())
}

/// Asks guard itself what the variable lets in.
fn allowlist(host: &Host, options: Options<'_>) -> anyhow::Result<Vec<ipnet::IpNet>> {
    let options = Options { args: &["--json"], ..options };
    let check = Guard::invoke(host, options, "check");
    if check.code() != Some(0) {
        bail!("guard refuses ALLOWED_IPS:\n{}", check.stderr.join("\n"));
    }
    let effective: serde_json::Value = serde_json::from_str(&check.stdout.join("\n"))?;
    let entries = effective["policy"]["allow"].as_array().context("`guard check --json` lists no `allow`")?;
    entries.iter().map(|entry| Ok(entry["prefix"].as_str().context("an entry without a prefix")?.parse()?)).collect()
}

/// Has a client of its own host make its requests, while the packets are counted before and behind guard.
fn visit(client: &Client, switch: &Switch, port: usize, server: &Host) -> anyhow::Result<Outcome> {
    let host = Host::new("client");
    let wire = switch.connect(&host, "eth0");
    wire.add_address(client.address);
    wire.route_everything();
    let target: IpAddr = SERVER[usize::from(client.address.is_ipv6())].parse()?;
    let is_request = request_filter(client.address);
    let sent = Sniffer::start(switch.host(), &format!("port{port}"), is_request);
    let arrived = Sniffer::start(server, "eth0", is_request);
    let answered = (0..REQUESTS)
        .filter(|_| http_get(&host, client.address, SocketAddr::new(target, PORT), PATIENCE).is_ok())
        .count();
    Ok(Outcome { client: *client, requests: REQUESTS, answered, sent: sent.stop(), arrived: arrived.stop() })
}

/// Recognises TCP packets of a client to the server's port: behind an Ethernet header, IP without options.
fn request_filter(source: IpAddr) -> impl Fn(&[u8]) -> bool + Copy + Send + 'static {
    move |frame| {
        let (ether_type, source_at, protocol_at, port_at) = match source {
            IpAddr::V4(_) => ([0x08, 0x00], 26, 23, 36),
            IpAddr::V6(_) => ([0x86, 0xdd], 22, 20, 56),
        };
        let is_source = match source {
            IpAddr::V4(v4) => frame.get(source_at..source_at + 4) == Some(&v4.octets()),
            IpAddr::V6(v6) => frame.get(source_at..source_at + 16) == Some(&v6.octets()),
        };
        is_source
            && frame.get(12..14) == Some(&ether_type)
            && frame.get(protocol_at) == Some(&6)
            && frame.get(port_at..port_at + 2) == Some(&PORT.to_be_bytes())
    }
}
