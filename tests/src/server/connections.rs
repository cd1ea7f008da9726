//! A listening port and the connections through it, ended together.

use std::{
    net::{Ipv6Addr, Shutdown, TcpListener, TcpStream},
    os::fd::AsRawFd,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread::{self, JoinHandle},
};

use nix::sys::socket;

use crate::host::Host;

/// Serves every connection to a port on a thread of its own, until dropped.
pub(super) struct Connections {
    listener: Arc<TcpListener>,
    open: Arc<Mutex<Vec<Weak<TcpStream>>>>,
    acceptor: Option<JoinHandle<()>>,
}

impl Connections {
    /// Listens on a port of the host; port 0 is any that is free.
    pub(super) fn accept(host: &Host, port: u16, serve: impl Fn(&TcpStream) + Send + Sync + 'static) -> Self {
        let listener = host.enter(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)));
        let listener = listener.unwrap_or_else(|error| panic!("listen on port {port} of {host:?}: {error}"));
        let listener = Arc::new(listener);
        let open = Arc::new(Mutex::new(Vec::new()));
        let acceptor = thread::spawn({
            let (listener, open) = (Arc::clone(&listener), Arc::clone(&open));
            move || accept_all(&listener, &open, &Arc::new(serve))
        });
        Self { listener, open, acceptor: Some(acceptor) }
    }

    pub(super) fn port(&self) -> u16 {
        self.listener.local_addr().expect("a listening socket has an address").port()
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        // Wakes the acceptor, whose accept then fails.
        let _ = socket::shutdown(self.listener.as_raw_fd(), socket::Shutdown::Both);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.iter().filter_map(Weak::upgrade) {
            // It may have been closed by its client already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept_all<S>(listener: &TcpListener, open: &Mutex<Vec<Weak<TcpStream>>>, serve: &Arc<S>)
where
    S: Fn(&TcpStream) + Send + Sync + 'static,
{
    while let Ok((stream, _)) = listener.accept() {
        let stream = Arc::new(stream);
        open.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&stream));
        let serve = Arc::clone(serve);
        thread::spawn(move || serve(&stream));
    }
}
