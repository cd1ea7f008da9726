//! The tables of connections, and the questions the programs ask of them.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BPF_NOEXIST},
    btf_maps::{Array, HashMap, LruHashMap, RingBuf},
    macros::btf_map,
};
use guard_common::connections::{
    ConnectionKey, HALF_OPEN_MAX, HANDSHAKES_MAX, HalfOpen, Handshake, HandshakeKey, OPEN_WORDS, PROOFS_MAX, Proof,
    ProofKey, REFUSED_MAX, SOCKETS_MAX, Socket, Violation,
};

use crate::atomics::{add_to, replace};

const VIOLATIONS_BYTES: usize = 1 << 18;

#[btf_map]
static HANDSHAKES: LruHashMap<HandshakeKey, Handshake, HANDSHAKES_MAX> = LruHashMap::new();
#[btf_map]
static REFUSED: LruHashMap<HandshakeKey, u64, REFUSED_MAX> = LruHashMap::new();
#[btf_map]
static HALF_OPEN: LruHashMap<ConnectionKey, u64, HALF_OPEN_MAX> = LruHashMap::new();
#[btf_map]
static SOCKETS: HashMap<u64, Socket, SOCKETS_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();
#[btf_map]
static CONNECTIONS: HashMap<ConnectionKey, u64, SOCKETS_MAX, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();
#[btf_map]
static OPEN: Array<u64, OPEN_WORDS, { BPF_F_MMAPABLE as usize }> = Array::new();
#[btf_map]
static PROOFS: LruHashMap<ProofKey, Proof, PROOFS_MAX> = LruHashMap::new();
#[btf_map]
static VIOLATIONS: RingBuf<Violation, VIOLATIONS_BYTES> = RingBuf::new();

/// Returns a handshake.
#[inline(always)]
pub(crate) fn handshake(key: &HandshakeKey) -> Option<Handshake> {
    let handshake = HANDSHAKES.get_ptr(key)?;
    // SAFETY: aligned words of the map's memory, which may come to hold another handshake meanwhile: for one packet, that is then
    // taken for this one.
    Some(unsafe { handshake.read_volatile() })
}

/// Notes a handshake; false if there is no room.
#[inline(always)]
pub(crate) fn set_handshake(key: &HandshakeKey, handshake: &Handshake) -> bool {
    HANDSHAKES.insert(key, handshake, BPF_ANY as u64).is_ok()
}

/// Has a handshake go by another sequence number.
#[inline(always)]
pub(crate) fn renew_handshake(key: &HandshakeKey, sequence: u32) {
    if let Some(handshake) = HANDSHAKES.get_ptr_mut(key) {
        // SAFETY: an aligned field of the map's memory; at worst another handshake gets it that has just taken the place.
        unsafe { (&raw mut (*handshake).sequence).write_volatile(sequence) };
    }
}

/// Marks a handshake as ended; false if it is already, or gone.
#[inline(always)]
pub(crate) fn end_handshake(key: &HandshakeKey) -> bool {
    let Some(handshake) = HANDSHAKES.get_ptr_mut(key) else { return false };
    // SAFETY: an aligned word of the map's memory, as above.
    unsafe { replace(&raw mut (*handshake).ended, 0, 1) }
}

/// Returns when a SYN was refused that was told as a violation.
#[inline(always)]
pub(crate) fn refused(key: &HandshakeKey) -> Option<u64> {
    // SAFETY: an aligned word of the map's memory, as for handshakes.
    REFUSED.get_ptr(key).map(|since_ns| unsafe { since_ns.read_volatile() })
}

/// Notes a SYN as one that was refused; false if there is no room.
#[inline(always)]
pub(crate) fn set_refused(key: &HandshakeKey, now_ns: u64) -> bool {
    REFUSED.insert(key, now_ns, BPF_ANY as u64).is_ok()
}

/// Returns how many handshakes of a source are under way.
#[inline(always)]
pub(crate) fn half_open(key: &ConnectionKey) -> HalfOpen {
    let Some(word) = HALF_OPEN.get_ptr(key) else { return HalfOpen::default() };
    // SAFETY: an aligned word of the map's memory, as for handshakes.
    HalfOpen(unsafe { word.read_volatile() })
}

/// Replaces that if it still is `old`, and if there is room where nothing was counted yet; tells whether it did.
#[inline(always)]
pub(crate) fn replace_half_open(key: &ConnectionKey, old: HalfOpen, new: HalfOpen) -> bool {
    match HALF_OPEN.get_ptr_mut(key) {
        // SAFETY: an aligned word of the map's memory, as for handshakes.
        Some(word) => unsafe { replace(word, old.0, new.0) },
        None => HALF_OPEN.insert(key, new.0, BPF_NOEXIST as u64).is_ok(),
    }
}

/// Returns how many connections of a service are open; with 0, of all.
#[inline(always)]
pub(crate) fn open(service: u8) -> u64 {
    // SAFETY: as for LIVE.
    OPEN.get_ptr(service as u32).map_or(0, |word| not_negative(unsafe { word.read_volatile() }))
}

/// Returns how many connections of a source to a service are open.
#[inline(always)]
pub(crate) fn open_of_source(key: &ConnectionKey) -> u64 {
    // SAFETY: an aligned word of the map's memory, as for handshakes.
    CONNECTIONS.get_ptr(key).map_or(0, |word| not_negative(unsafe { word.read_volatile() }))
}

/// A count from which more was taken than was there is none.
#[inline(always)]
fn not_negative(count: u64) -> u64 {
    if count >> 63 == 0 { count } else { 0 }
}

/// Notes an open connection; false if it is known, or there is no room.
#[inline(always)]
pub(crate) fn add_socket(cookie: u64, socket: &Socket) -> bool {
    SOCKETS.insert(cookie, socket, BPF_NOEXIST as u64).is_ok()
}

/// Takes an open connection out and returns it; `None` if it is not known, or somebody else did.
#[inline(always)]
pub(crate) fn take_socket(cookie: u64) -> Option<Socket> {
    // SAFETY: only its own CPU's run takes it for what it is: where another one removes it meanwhile, so is this one's value dropped.
    let socket = unsafe { SOCKETS.get_ptr(cookie)?.read_volatile() };
    SOCKETS.remove(cookie).is_ok().then_some(socket)
}

/// Adds to the connections that are open of a service, and of all.
#[inline(always)]
pub(crate) fn add_open(service: u8, difference: u64) {
    for index in [service as u32, 0] {
        if let Some(word) = OPEN.get_ptr_mut(index) {
            // SAFETY: an aligned word of the map's element, which is never freed.
            unsafe { add_to(word, difference) };
        }
    }
}

/// Adds to the connections that are open of a source at a service; where none is left, the element goes.
#[inline(always)]
pub(crate) fn add_open_of_source(key: &ConnectionKey, difference: u64) {
    let adds = difference >> 63 == 0;
    if adds && CONNECTIONS.insert(key, difference, BPF_NOEXIST as u64).is_ok() {
        return;
    }
    let Some(word) = CONNECTIONS.get_ptr_mut(key) else { return };
    // SAFETY: an aligned word of the map's memory; where another CPU removes the element meanwhile, what was added is lost, and the
    // daemon counts again.
    let left = unsafe {
        add_to(word, difference);
        word.read_volatile()
    };
    if not_negative(left) == 0 {
        let _ = CONNECTIONS.remove(key);
    }
}

/// Returns what is known of a source's completed handshakes.
#[inline(always)]
pub(crate) fn proof(key: &ProofKey) -> Option<Proof> {
    // SAFETY: as for handshakes.
    PROOFS.get_ptr(key).map(|proof| unsafe { proof.read_volatile() })
}

/// Notes what is known of a source's completed handshakes; where it can't be, nothing is proven.
#[inline(always)]
pub(crate) fn set_proof(key: &ProofKey, proof: &Proof) {
    let _ = PROOFS.insert(key, proof, BPF_ANY as u64);
}

/// Tells the daemon of a violation; where the ring is full, it counts for nothing.
#[inline(always)]
pub(crate) fn tell_violation(violation: &Violation) {
    let _ = VIOLATIONS.output(violation, 0);
}
