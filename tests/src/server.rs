//! Services for the guarded host: plain servers on threads of the test process, one port for IPv4 and IPv6 alike.

mod connections;
mod echo;
mod http;

pub use echo::{TcpEcho, UdpEcho};
pub use http::HttpServer;
