//! A web service that tells each client the address it sees.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{IpAddr, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

use super::connections::Connections;
use crate::host::Host;

/// An HTTP/1.1 server that answers every request with the peer's address, and remembers who asked.
pub struct HttpServer {
    connections: Connections,
    clients: Arc<Mutex<Vec<IpAddr>>>,
}

impl HttpServer {
    /// Serves on a port of the host, over IPv4 and IPv6; port 0 is any that is free.
    pub fn start(host: &Host, port: u16) -> Self {
        let clients = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&clients);
        let connections = Connections::accept(host, port, move |stream| {
            // A client that goes away in the middle of a request is its own affair.
            let _ = answer_requests(stream, &seen);
        });
        Self { connections, clients }
    }

    /// The port served.
    pub fn port(&self) -> u16 {
        self.connections.port()
    }

    /// The sources of all requests so far, in order.
    pub fn clients(&self) -> Vec<IpAddr> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests have been answered.
    pub fn requests(&self) -> usize {
        self.clients().len()
    }
}

fn answer_requests(stream: &TcpStream, seen: &Mutex<Vec<IpAddr>>) -> io::Result<()> {
    let client = stream.peer_addr()?.ip().to_canonical();
    let mut lines = BufReader::new(stream).lines();
    while let Some(request) = lines.next().transpose()? {
        let mut close = request.ends_with("HTTP/1.0");
        for header in lines.by_ref() {
            match header?.to_ascii_lowercase().as_str() {
                "" => break,
                "connection: close" => close = true,
                _ => {}
            }
        }
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        let body = client.to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
        (&*stream).write_all((head + &body).as_bytes())?;
        if close {
            break;
        }
    }
    Ok(())
}
