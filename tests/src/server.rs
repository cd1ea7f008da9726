//! Servers, on threads of the test process unless said otherwise, and on one port for IPv4 and IPv6 alike unless they are given an
//! address.

mod connections;
mod datagrams;
mod dns;
mod echo;
mod http;
pub mod kept;

pub use datagrams::UdpServer;
pub use dns::DnsServer;
pub use echo::{TcpEcho, UdpEcho};
pub use http::HttpServer;
pub use kept::KeptServer;
