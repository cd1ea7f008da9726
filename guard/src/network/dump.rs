//! A question to the kernel whose answer is a list, or an order, by netlink, blocking.
//!
//! Knows nothing of what is listed or ordered.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt},
        time::{TimeVal, TimeValLike as _},
    },
};
use rtnetlink::packet_core::{
    DecodeError, Emitable as _, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_ALIGNTO, NLMSG_DONE, NLMSG_ERROR,
    NLMSG_NOOP, NLMSG_OVERRUN, NetlinkBuffer, NetlinkHeader,
};

/// The longest datagram that the kernel makes of a list (`netlink_recvmsg`).
const DATAGRAM_MAX: usize = 32 * 1024;

/// The longest wait for the next part of a list. The kernel makes it while it is read, so it is never long.
const SILENCE_MAX_S: i64 = 5;

/// The longest time that a whole list may take.
const LIST_MAX: Duration = Duration::from_secs(60);

/// Whether a list goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Unfinished,
    Finished,
}

/// Asks for a list and gives the payload of each of its messages to `take`.
///
/// # Errors
///
/// What the kernel answered, [`io::ErrorKind::TimedOut`] where it does not answer or does not come to an end, and
/// [`io::ErrorKind::InvalidData`] for an answer that can't be understood, by `take` or before.
pub(super) fn dump(
    protocol: SockProtocol,
    message_type: u16,
    request: &[u8],
    mut take: impl FnMut(&[u8]) -> Result<(), DecodeError>,
) -> io::Result<()> {
    let kernel = open(protocol)?;
    send(kernel.as_raw_fd(), &question(message_type, NLM_F_DUMP, request), MsgFlags::empty())?;
    let started = Instant::now();
    let mut buffer = vec![0; DATAGRAM_MAX];
    while started.elapsed() < LIST_MAX {
        // With MSG_TRUNC the kernel tells the length that the datagram had before it was cut.
        let length = match recv(kernel.as_raw_fd(), &mut buffer, MsgFlags::MSG_TRUNC) {
            Err(Errno::EINTR) => continue,
            Err(Errno::EAGAIN) => break,
            received => received?,
        };
        let datagram = buffer.get(..length).ok_or_else(|| invalid("a datagram was cut"))?;
        if read_datagram(datagram, &mut take)? == Progress::Finished {
            return Ok(());
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "the kernel did not finish the list"))
}

/// Has the kernel do something, by a way to the part of it that does.
///
/// # Errors
///
/// What the kernel answered, or that it does not.
pub(super) fn order(kernel: &OwnedFd, message_type: u16, request: &[u8]) -> io::Result<()> {
    send(kernel.as_raw_fd(), &question(message_type, NLM_F_ACK, request), MsgFlags::empty())?;
    let mut buffer = vec![0; DATAGRAM_MAX];
    let length = loop {
        match recv(kernel.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Err(Errno::EINTR) => continue,
            received => break received?,
        }
    };
    match read_datagram(&buffer[..length], &mut |_| Ok(()))? {
        Progress::Finished => Ok(()),
        Progress::Unfinished => Err(invalid("an answer that does not say what became of it")),
    }
}

/// Opens a way to a part of the kernel, which is not waited for for ever.
pub(super) fn open(protocol: SockProtocol) -> io::Result<OwnedFd> {
    let kernel = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    setsockopt(&kernel, sockopt::ReceiveTimeout, &TimeVal::seconds(SILENCE_MAX_S))?;
    Ok(kernel)
}

/// Puts a header before a request.
pub(super) fn question(message_type: u16, flags: u16, request: &[u8]) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    let mut question = vec![0; header.buffer_len()];
    header.length = u32::try_from(question.len() + request.len()).expect("requests are a few bytes long");
    header.message_type = message_type;
    header.flags = NLM_F_REQUEST | flags;
    header.emit(&mut question);
    question.extend(request);
    question
}

fn read_datagram(mut datagram: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), DecodeError>) -> io::Result<Progress> {
    while !datagram.is_empty() {
        let message = NetlinkBuffer::new_checked(datagram).map_err(invalid)?;
        match message.message_type() {
            NLMSG_NOOP => {}
            NLMSG_DONE | NLMSG_ERROR => return outcome(message.payload()).map(|()| Progress::Finished),
            NLMSG_OVERRUN => return Err(invalid("a part of the list was lost")),
            _ => take(message.payload()).map_err(invalid)?,
        }
        let length = message.length() as usize;
        datagram = datagram.get(length.next_multiple_of(NLMSG_ALIGNTO.into())..).unwrap_or_default();
    }
    Ok(Progress::Unfinished)
}

/// Reads how a list ended: a negative error number or 0, which may be left out.
fn outcome(payload: &[u8]) -> io::Result<()> {
    match payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code)) {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
    }
}

fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests;
