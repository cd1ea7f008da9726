//! Sockets of the guarded cgroup: which connections are established and which are closed.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG, BPF_TCP_CLOSE,
        BPF_TCP_ESTABLISHED, BPF_TCP_SYN_RECV, bpf_sock_ops,
    },
    helpers,
    programs::SockOpsContext,
};
use guard_common::{address::Address, connections::Socket};

use crate::{connections, maps};

/// The family of IPv4 sockets (linux/socket.h).
const AF_INET: u32 = 2;

/// Follows what becomes of a socket.
///
/// With TCP Fast Open a socket is called passively established by a SYN that anybody may have sent; only the state's change tells
/// that the handshake was completed.
#[inline(always)]
pub(crate) fn follow(context: &SockOpsContext) {
    match context.op() {
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB if connections::is_admitted(remote(context), remote_port(context)) => {
            // Other programs may have asked for more.
            let flags = context.cb_flags() | BPF_SOCK_OPS_STATE_CB_FLAG;
            let _ = context.set_cb_flags(flags as i32);
        }
        BPF_SOCK_OPS_STATE_CB => match (context.arg(0), context.arg(1)) {
            (BPF_TCP_SYN_RECV, BPF_TCP_ESTABLISHED) => opened(context),
            (_, BPF_TCP_CLOSE) => connections::closed(cookie(context)),
            _ => {}
        },
        _ => {}
    }
}

#[inline(always)]
fn opened(context: &SockOpsContext) {
    let Some(live) = maps::live() else { return };
    let socket = Socket {
        // SAFETY: the context is the one that the kernel passed in.
        namespace: unsafe { helpers::generated::bpf_get_netns_cookie(context.as_ptr()) },
        source_port: remote_port(context),
        local_port: context.local_port() as u16,
        ..Socket::default()
    };
    connections::opened(live, cookie(context), remote(context), awaited(context), &socket);
}

#[inline(always)]
fn cookie(context: &SockOpsContext) -> u64 {
    // SAFETY: the context is the one that the kernel passed in.
    unsafe { helpers::generated::bpf_get_socket_cookie(context.as_ptr()) }
}

/// Returns the other end's address.
#[inline(always)]
fn remote(context: &SockOpsContext) -> Address {
    if context.family() == AF_INET {
        return Address::from_v4(context.remote_ip4().to_ne_bytes());
    }
    let ops: *const bpf_sock_ops = context.as_ptr().cast();
    // The kernel lets its words be read one by one only.
    let word = |index: usize| {
        // SAFETY: the context is the one that the kernel passed in, and has four of these words.
        u64::from(u32::from_be(unsafe { (&raw const (*ops).remote_ip6[index]).read_volatile() }))
    };
    Address { high: word(0) << 32 | word(1), low: word(2) << 32 | word(3) }
}

/// Returns the sequence number that the socket awaits next.
#[inline(always)]
fn awaited(context: &SockOpsContext) -> u32 {
    let ops: *const bpf_sock_ops = context.as_ptr().cast();
    // SAFETY: the context is the one that the kernel passed in, and has this word.
    unsafe { (&raw const (*ops).rcv_nxt).read_volatile() }
}

#[inline(always)]
fn remote_port(context: &SockOpsContext) -> u16 {
    u32::from_be(context.remote_port()) as u16
}
