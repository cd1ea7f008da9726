//! AF_PACKET (packet(7)): frames as they cross an interface, headers and tags included.

use std::{
    io::IoSliceMut,
    iter,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use nix::{
    cmsg_space,
    errno::Errno,
    ifaddrs::getifaddrs,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    setsockopt_impl,
    sys::socket::{
        AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvmsg,
        setsockopt, socket,
        sockopt::{RcvBufForce, ReceiveTimestampns, SetBool},
    },
    sys::time::TimeSpec,
};

/// Room for a flood of 100,000 small frames, as the kernel accounts for them.
const RECEIVE_BUFFER: usize = 256 << 20;
/// The largest frame that a host with segmentation offload receives, with its Ethernet header and a tag.
pub(super) const LARGEST_FRAME: usize = (64 << 10) + 22;
/// Where a VLAN tag stands in a frame: behind both MAC addresses.
const TAG_OFFSET: usize = 12;

#[derive(Clone, Copy)]
struct AuxiliaryData;
setsockopt_impl!(AuxiliaryData, libc::SOL_PACKET, libc::PACKET_AUXDATA, bool, SetBool);

#[derive(Clone, Copy)]
struct QdiscBypass;
setsockopt_impl!(QdiscBypass, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, bool, SetBool);

#[derive(Clone, Copy)]
struct IgnoreOutgoing;
setsockopt_impl!(IgnoreOutgoing, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, bool, SetBool);

/// A frame that has come in.
pub(super) struct Arrival {
    pub(super) length: usize,
    /// When the kernel took it from the interface.
    pub(super) time: SystemTime,
}

/// A packet socket bound to one interface, which sees incoming frames only.
pub(super) struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens an interface of the calling thread's network.
    pub(super) fn open(interface: &str) -> Result<Self> {
        let address = link_address(interface)?;
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
        setsockopt(&socket, AuxiliaryData, &true).context("PACKET_AUXDATA")?;
        setsockopt(&socket, QdiscBypass, &true).context("PACKET_QDISC_BYPASS")?;
        setsockopt(&socket, IgnoreOutgoing, &true).context("PACKET_IGNORE_OUTGOING")?;
        setsockopt(&socket, ReceiveTimestampns, &true).context("SO_TIMESTAMPNS")?;
        setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER).context("SO_RCVBUFFORCE")?;
        bind(socket.as_raw_fd(), &address).context("bind")?;
        let socket = Self(socket);
        // Until it was bound the socket heard every interface.
        socket.drain();
        Ok(socket)
    }

    /// Sends through the interface's queueing discipline from now on, as programs do.
    pub(super) fn use_queue(&self) -> Result<()> {
        setsockopt(&self.0, QdiscBypass, &false).context("PACKET_QDISC_BYPASS")
    }

    pub(super) fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Writes the next frame to the beginning of `frame`, with the tag that the kernel took out of it put back.
    pub(super) fn receive(&self, frame: &mut [u8], limit: Duration) -> Option<Arrival> {
        self.take(frame).or_else(|| {
            let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
            let mut readable = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            poll(&mut readable, limit).expect("a packet socket can be polled");
            self.take(frame)
        })
    }

    /// Takes every frame that is already there, and returns how many there were.
    pub(super) fn drain(&self) -> usize {
        let mut frame = vec![0; LARGEST_FRAME];
        iter::from_fn(|| self.take(&mut frame)).count()
    }

    fn take(&self, frame: &mut [u8]) -> Option<Arrival> {
        let mut control = cmsg_space!(libc::tpacket_auxdata, TimeSpec);
        let mut slices = [IoSliceMut::new(frame)];
        let received = recvmsg::<()>(self.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT);
        let (mut tag, mut time) = (None, SystemTime::UNIX_EPOCH);
        let length = match received {
            Ok(message) => {
                for told in message.cmsgs().expect("there is room for both") {
                    match told {
                        ControlMessageOwned::ScmTimestampns(told) => time += Duration::from(told),
                        told => tag = stripped_tag(told),
                    }
                }
                message.bytes
            }
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => return None,
            Err(error) => panic!("cannot receive frames: {error}"),
        };
        let Some(tag) = tag else { return Some(Arrival { length, time }) };
        frame.copy_within(TAG_OFFSET..length, TAG_OFFSET + tag.len());
        frame[TAG_OFFSET..][..tag.len()].copy_from_slice(&tag);
        Some(Arrival { length: length + tag.len(), time })
    }
}

/// The address to bind to: the interface by its index. The protocol stays that of the socket.
fn link_address(interface: &str) -> Result<LinkAddr> {
    getifaddrs()
        .context("list interfaces")?
        .filter(|found| found.interface_name == interface)
        .find_map(|found| found.address?.as_link_addr().copied())
        .context("no such interface")
}

/// The VLAN tag that the kernel moved out of a frame, as it stood in it (struct tpacket_auxdata of linux/if_packet.h).
fn stripped_tag(message: ControlMessageOwned) -> Option<[u8; 4]> {
    let ControlMessageOwned::Unknown(message) = message else { return None };
    let data = message.data_bytes;
    let status = u32::from_ne_bytes(data.get(..4)?.try_into().ok()?);
    let half = |offset: usize| Some(u16::from_ne_bytes(data.get(offset..offset + 2)?.try_into().ok()?));
    if status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let [a, b] = half(18)?.to_be_bytes();
    let [c, d] = half(16)?.to_be_bytes();
    Some([a, b, c, d])
}
