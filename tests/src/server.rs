//! Servers on threads of the test process: unless they are given an address, one port for IPv4 and IPv6 alike.

mod connections;
mod datagrams;
mod dns;
mod echo;
mod http;

pub use datagrams::UdpServer;
pub use dns::DnsServer;
pub use echo::{TcpEcho, UdpEcho};
pub use http::HttpServer;
