//! What the kernel hands to a run: the frame's bytes, with the proof for the verifier that each read lies inside them, the
//! interface, the time.

use core::mem::MaybeUninit;

use aya_ebpf::{
    EbpfContext as _,
    bindings::xdp_md,
    helpers,
    programs::{TcContext, XdpContext},
};
use guard_common::{
    packet::{Frame, Packet},
    request::{self, Request},
};

/// A mask that changes no offset that is ever read: link headers take 30 bytes at most, and IPv6 with eight extension headers
/// 16,424. The verifier needs an upper bound, and in the register that is added to a packet pointer: it can't see that a
/// number compared in one register is the one loaded from the stack into another.
const OFFSET_MASK: usize = 0x7fff;

/// The part of a frame that lies in one piece, read in place.
///
/// Whether there is more of the frame only a call tells, so one is taken for whole until its headers say more.
pub(crate) struct LinearFrame {
    start: usize,
    end: usize,
    length: u32,
}

impl LinearFrame {
    #[inline(always)]
    pub(crate) fn new(context: &XdpContext) -> Self {
        let (start, end) = (context.data(), context.data_end());
        Self { start, end, length: (end - start) as u32 }
    }

    /// Returns the same piece, known to be part of a frame of `length` bytes.
    #[inline(always)]
    pub(crate) fn of(context: &XdpContext, length: u32) -> Self {
        Self { start: context.data(), end: context.data_end(), length }
    }

    /// Returns the linear part of a packet that leaves.
    #[inline(always)]
    pub(crate) fn leaving(context: &TcContext) -> Self {
        Self { start: context.data(), end: context.data_end(), length: context.len() }
    }

    /// Tells whether the frame goes on behind its linear part.
    #[inline(always)]
    pub(crate) fn is_partial(&self) -> bool {
        self.length as usize > self.end - self.start
    }

    /// Returns what the daemon asks for that gave this frame.
    #[inline(always)]
    pub(crate) fn request<T: Request>(&self) -> Option<T> {
        let start = opaque(self.start + request::OFFSET);
        if start + size_of::<T>() > self.end {
            return None;
        }
        // SAFETY: as many bytes lie between data and data_end, and any bytes are a request.
        Some(unsafe { (start as *const T).read_unaligned() })
    }
}

impl Frame for LinearFrame {
    #[inline(always)]
    fn length(&self) -> u32 {
        self.length
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let start = opaque(self.start + opaque(offset as usize & OFFSET_MASK));
        if start + N > self.end {
            return None;
        }
        // SAFETY: start..start + N lies between data and data_end, which the verifier checks again; bytes need no
        // alignment.
        Some(unsafe { (start as *const [u8; N]).read_unaligned() })
    }

    #[inline(always)]
    fn forget(&self, value: u32) -> u32 {
        forget(value as u64, self.length as u64) as u32
    }
}

/// A whole frame, each read copied by the kernel from wherever the bytes are.
pub(crate) struct PagedFrame<'a> {
    context: &'a XdpContext,
    length: u32,
}

impl<'a> PagedFrame<'a> {
    #[inline(always)]
    pub(crate) fn new(context: &'a XdpContext, length: u32) -> Self {
        Self { context, length }
    }
}

impl Frame for PagedFrame<'_> {
    #[inline(always)]
    fn length(&self) -> u32 {
        self.length
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: the buffer has room for N bytes, and the helper refuses an offset past the frame.
        let result = unsafe {
            helpers::generated::bpf_xdp_load_bytes(
                self.context.as_ptr().cast(),
                offset,
                bytes.as_mut_ptr().cast(),
                N as u32,
            )
        };
        if result != 0 {
            return None;
        }
        // SAFETY: the helper reported success, so all N bytes are written.
        Some(unsafe { bytes.assume_init() })
    }

    #[inline(always)]
    fn forget(&self, value: u32) -> u32 {
        forget(value as u64, self.length as u64) as u32
    }
}

/// Returns CLOCK_MONOTONIC, in the steps of the kernel's tick.
#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: the helper takes nothing and has no failure.
    unsafe { helpers::bpf_ktime_get_coarse_ns() }
}

/// Returns CLOCK_BOOTTIME.
#[inline(always)]
pub(crate) fn boot_now_ns() -> u64 {
    // SAFETY: the helper takes nothing and has no failure.
    unsafe { helpers::generated::bpf_ktime_get_boot_ns() }
}

/// Returns CLOCK_MONOTONIC.
#[inline(always)]
pub(crate) fn precise_now_ns() -> u64 {
    // SAFETY: the helper takes nothing and has no failure.
    unsafe { helpers::bpf_ktime_get_ns() }
}

/// Returns the kernel's count of ticks, which the verifier replaces by a load.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    // SAFETY: the helper takes nothing and has no failure.
    unsafe { helpers::generated::bpf_jiffies64() }
}

/// Returns the index of the interface on which the packet came.
#[inline(always)]
pub(crate) fn interface(context: &XdpContext) -> u32 {
    // SAFETY: the context is the one that the kernel passed in.
    unsafe { (*context.as_ptr().cast::<xdp_md>()).ingress_ifindex }
}

/// Empties a packet in place. LLVM would make a call of its byte-wise memset out of a plain assignment, for a third of the
/// cost of a whole packet.
#[inline(always)]
pub(crate) fn empty(packet: &mut Packet) {
    for word in 0..size_of::<Packet>() / 8 {
        // SAFETY: the words lie aligned inside the packet, and zero is a value of every field.
        unsafe { (&raw mut *packet).cast::<u64>().add(word).write_volatile(0) };
    }
}

/// Returns the bytes of the whole frame.
#[inline(always)]
pub(crate) fn frame_length(context: &XdpContext) -> u32 {
    // SAFETY: the context is the one that the kernel passed in.
    unsafe { helpers::generated::bpf_xdp_get_buff_len(context.as_ptr().cast()) as u32 }
}

/// Hides from LLVM where a number comes from: it would turn `start + 1 > end` into `start >= end`, from which the verifier
/// learns nothing, and compute an offset again whose bounds the verifier has just learnt.
#[inline(always)]
fn opaque(mut number: usize) -> usize {
    // SAFETY: a register is moved to itself.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) number) };
    number
}

/// Returns `value`, as one of which the verifier knows no more than of `unknown`, which it knows nothing of.
#[inline(always)]
pub(crate) fn forget(mut value: u64, unknown: u64) -> u64 {
    // SAFETY: a register is changed and changed back.
    unsafe { core::arch::asm!("{0} ^= {1}", "{0} ^= {1}", inout(reg) value, in(reg) unknown) };
    value
}
