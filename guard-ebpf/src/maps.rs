//! The kernel's tables, and the questions the program asks of them.

pub(crate) mod connections;
pub(crate) mod timed;

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_F_INNER_MAP, BPF_F_MMAPABLE},
    btf_maps::{Array, ArrayOfMaps, HashMap, LruHashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use guard_common::{
    address::Address,
    bucket::BucketLine,
    flow::{Flow, FlowKey},
    gate::Cause,
    generation::{Generation, Head, Live, SLOTS},
    limits::{LIMIT_LINES, LIMIT_PLACES, Limit},
    packet::{LinkType, Packet},
    policy::REASONS_MAX,
    prefix::{Line, Lines},
    records::{
        ADDRESS_WORDS, AddRequest, BlockEvent, Budget, COUNTERS_LENGTH, Counted, Counter, FLOWS_MAX, GATE_SETS,
        GateSet, LINK_TYPES_LENGTH, LimitPlace, PENDING_MAX, PORT_WORDS, PendingKey, SERVICE_NAME_MAX, SERVICES_LENGTH,
        Sampled, USED_MAX, USED_PER_TICK, Unreported, address_bit, counter_index, port_bit,
    },
    siphash,
};

use crate::{
    atomics::{SharedLine, set_bits},
    context::{boot_now_ns, forget, ticks},
};

/// Own addresses that can be held: far more than interfaces of one host have.
const ADDRESSES_MAX: usize = 4096;

const EVENTS_BYTES: usize = 1 << 20;

// What lies in an array of maps has arrays for values: Linux 6.1 tells a map whose value is a structure by its BTF from one that
// userspace made without, and lets no such map in (`bpf_map_meta_equal`).
type HeadOfOne = Array<[Head; 1], 1, { BPF_F_MMAPABLE as usize }>;
type Partition = Array<[BucketLine; 1], LIMIT_LINES>;
type FarLines = Array<Line, 1, { (BPF_F_MMAPABLE | BPF_F_INNER_MAP) as usize }>;

#[btf_map]
static HEADS: ArrayOfMaps<HeadOfOne, SLOTS> = ArrayOfMaps::new();
#[btf_map]
static POLICY: ArrayOfMaps<FarLines, SLOTS> = ArrayOfMaps::new();
#[btf_map]
static LIVE: Array<u64, 1, { BPF_F_MMAPABLE as usize }> = Array::new();
#[btf_map]
static ADDRESSES: HashMap<[u8; 16], u8, ADDRESSES_MAX> = HashMap::new();
#[btf_map]
static ADDRESS_BITS: Array<u64, ADDRESS_WORDS, { BPF_F_MMAPABLE as usize }> = Array::new();
#[btf_map]
static COUNTERS: PerCpuArray<Counter, COUNTERS_LENGTH> = PerCpuArray::new();
#[btf_map]
static SERVICES: Array<[u8; SERVICE_NAME_MAX], SERVICES_LENGTH> = Array::new();
#[btf_map]
static LINK_TYPES: PerCpuArray<Counter, LINK_TYPES_LENGTH> = PerCpuArray::new();
#[btf_map]
static GATES: PerCpuArray<GateSet, GATE_SETS> = PerCpuArray::new();
#[btf_map]
static BUDGET: PerCpuArray<Budget, 1> = PerCpuArray::new();
#[btf_map]
static UNREPORTED: PerCpuArray<Unreported, REASONS_MAX> = PerCpuArray::new();
#[btf_map]
static EVENTS: RingBuf<BlockEvent, EVENTS_BYTES> = RingBuf::new();

#[btf_map]
static PACKETS: PerCpuArray<[Packet; 2], 2> = PerCpuArray::new();
#[btf_map]
static BUCKETS: ArrayOfMaps<Partition, LIMIT_PLACES> = ArrayOfMaps::new();
#[btf_map]
static TOTALS: Array<BucketLine, LIMIT_PLACES, { BPF_F_MMAPABLE as usize }> = Array::new();
#[btf_map]
static LIMITS: Array<LimitPlace, LIMIT_PLACES> = Array::new();
#[btf_map]
static BUCKET_KEY: Array<siphash::Key, 1> = Array::new();
#[btf_map]
static PENDING: LruHashMap<PendingKey, u64, PENDING_MAX> = LruHashMap::new();
#[btf_map]
static FLOWS: LruHashMap<FlowKey, Flow, FLOWS_MAX> = LruHashMap::new();
#[btf_map]
static FLOW_PORTS: Array<u64, PORT_WORDS, { BPF_F_MMAPABLE as usize }> = Array::new();
#[btf_map]
static LISTENING: Array<u64, PORT_WORDS, { BPF_F_MMAPABLE as usize }> = Array::new();
#[btf_map]
static USED: LruHashMap<[u8; 16], u64, USED_MAX> = LruHashMap::new();
#[btf_map]
static SAMPLED: PerCpuArray<Sampled, 1> = PerCpuArray::new();

#[unsafe(no_mangle)]
static GATE_SEED: u64 = 0;
#[unsafe(no_mangle)]
static TICK_MS: u64 = 0;

/// The seed that the daemon set at load.
#[inline(always)]
pub(crate) fn gate_seed() -> u64 {
    // SAFETY: a valid static; volatile because the loader changes what the compiler takes for a constant.
    unsafe { core::ptr::read_volatile(&GATE_SEED) }
}

/// The milliseconds of a tick, times 2^16, that the daemon set at load.
#[inline(always)]
pub(crate) fn tick_ms() -> u64 {
    // SAFETY: as for the seed.
    unsafe { core::ptr::read_volatile(&TICK_MS) }
}

/// The length of a tick, in ns.
#[inline(always)]
pub(crate) fn tick_ns() -> u64 {
    tick_ms().wrapping_mul(1_000_000) >> 16
}

/// The lines of a generation that do not lie in its head.
#[derive(Clone, Copy)]
pub(crate) struct Far {
    /// The word that names the generation: a number of which the verifier knows nothing.
    live: u64,
}

impl Lines for Far {
    #[inline(always)]
    fn line(&self, index: u32) -> Option<&Line> {
        POLICY.get(Live(self.live).slot())?.get(index)
    }

    #[inline(always)]
    fn forget(&self, value: u32) -> u32 {
        forget(value as u64, self.live) as u32
    }
}

/// Which program runs.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    Arriving = 0,
    Leaving = 1,
}

/// Returns room for two packets, with whatever is in it: not on the stack, of which there are 512 bytes for all that call each
/// other, and where the verifier would tell apart all that is written.
#[inline(always)]
pub(crate) fn packets(run: Run) -> Option<&'static mut [Packet; 2]> {
    let packets = PACKETS.get_ptr_mut(run as u32)?;
    // SAFETY: this CPU's own element for the program, borrowed once a run, and both run with bottom halves off, so no other run
    // of it on this CPU comes between; any bytes that were written into it were a packet's.
    Some(unsafe { &mut *packets })
}

/// Returns the packet that the running program decides on, once it is read.
#[inline(always)]
pub(crate) fn arriving() -> Option<&'static Packet> {
    let packets = PACKETS.get_ptr(Run::Arriving as u32)?;
    // SAFETY: as for `packets`; from the decision on nobody writes the first of the two.
    Some(unsafe { &(*packets)[0] })
}

/// Returns the word that names the live generation.
#[inline(always)]
pub(crate) fn live() -> Option<u64> {
    // SAFETY: the pointer is to the one element of an array that is never freed; volatile because the daemon writes it
    // through its own mapping.
    Some(unsafe { LIVE.get_ptr(0)?.read_volatile() })
}

/// Returns the generation that a word names.
#[inline(always)]
pub(crate) fn generation(live: u64) -> Option<Generation<'static, Far>> {
    Some(Generation { head: &HEADS.get(Live(live).slot())?.get(0)?[0], far: Far { live } })
}

/// Tells whether an address, as [`Address::on_interface`] gives it, is one of this host's own.
#[inline(always)]
pub(crate) fn is_own_address(address: Address) -> bool {
    let (word, bit) = address_bit(address);
    let Some(bits) = ADDRESS_BITS.get_ptr(word) else { return false };
    // SAFETY: as for LIVE.
    let bits = unsafe { bits.read_volatile() };
    // SAFETY: the value is never read.
    bits & bit != 0 && unsafe { ADDRESSES.get(&address.octets()) }.is_some()
}

/// Tells whether something listens on a port.
#[inline(always)]
pub(crate) fn is_listening(tcp: bool, port: u16) -> bool {
    let (word, bit) = port_bit(tcp, port);
    let Some(bits) = LISTENING.get_ptr(word) else { return true };
    // SAFETY: as for LIVE.
    (unsafe { bits.read_volatile() }) & bit != 0
}

/// Returns the key of the buckets' hash.
#[inline(always)]
pub(crate) fn bucket_key() -> siphash::Key {
    BUCKET_KEY.get(0).copied().unwrap_or_default()
}

/// Returns the line of a limit's buckets that a hash leads to.
#[inline(always)]
pub(crate) fn bucket_line(limit: &Limit, hash: u64, unknown: u64) -> Option<SharedLine> {
    let place = u32::from(limit.place);
    let line = if limit.per_service != 0 {
        TOTALS.get_ptr_mut(place)
    } else {
        BUCKETS.get(place)?.get_ptr_mut((hash >> 32) as u32 & (LIMIT_LINES as u32 - 1)).map(|line| line.cast())
    };
    // SAFETY: elements of arrays; one that was taken out of the outer map stays until no run can be using it.
    Some(unsafe { SharedLine::new(line?, unknown) })
}

/// Returns when a UDP flow of a service is forgotten, 0 if it is not known.
#[inline(always)]
pub(crate) fn pending(key: &PendingKey) -> u64 {
    let Some(ends_ns) = PENDING.get_ptr(key) else { return 0 };
    // SAFETY: an aligned word of the map's memory, which other CPUs may write, even for another flow: that one is then
    // taken for this one, for one packet.
    unsafe { ends_ns.read_volatile() }
}

/// Notes when a UDP flow of a service is forgotten.
#[inline(always)]
pub(crate) fn set_pending(key: &PendingKey, ends_ns: u64) {
    // Where it can't be, its next packet counts as a connection again.
    let _ = PENDING.insert(key, ends_ns, BPF_ANY as u64);
}

/// Tells whether any flow may be known whose port at this end is the given one; only the table tells for certain.
#[inline(always)]
pub(crate) fn has_flow_port(tcp: bool, port: u16) -> bool {
    let (word, bit) = port_bit(tcp, port);
    let Some(bits) = FLOW_PORTS.get_ptr(word) else { return true };
    // SAFETY: as for LIVE.
    (unsafe { bits.read_volatile() }) & bit != 0
}

/// Notes that a flow of a port may be known, for as long as the tables last.
#[inline(always)]
fn set_flow_port(key: &FlowKey) {
    let Some((word, bit)) = key.port_bit() else { return };
    let Some(bits) = FLOW_PORTS.get_ptr_mut(word) else { return };
    // SAFETY: as for LIVE.
    if (unsafe { bits.read_volatile() }) & bit == 0 {
        // SAFETY: an aligned word of the map's element, which is never freed.
        unsafe { set_bits(bits, bit) };
    }
}

/// Returns what is known of a flow.
#[inline(always)]
pub(crate) fn flow(key: &FlowKey) -> Option<Flow> {
    // SAFETY: aligned words of the map's memory, which other CPUs may write; read one by one, whichever they are.
    unsafe {
        let flow = FLOWS.get_ptr(key)?;
        Some(Flow {
            ends_ns: (&raw const (*flow).ends_ns).read_volatile(),
            closed_here: (&raw const (*flow).closed_here).read_volatile(),
            asked_here: (&raw const (*flow).asked_here).read_volatile(),
            ..Flow::CUT
        })
    }
}

/// Notes what is known of a flow; answers to one that can't be noted do not pass.
#[inline(always)]
pub(crate) fn set_flow(key: &FlowKey, flow: &Flow) {
    set_flow_port(key);
    let _ = FLOWS.insert(key, flow, BPF_ANY as u64);
}

/// Tells whether this CPU may note one more packet in the tick, and counts it.
#[inline(always)]
pub(crate) fn may_sample() -> bool {
    let Some(sampled) = SAMPLED.get_ptr_mut(0) else { return false };
    // SAFETY: as for counters.
    let sampled = unsafe { &mut *sampled };
    let tick = ticks();
    if sampled.tick != tick {
        *sampled = Sampled { tick, packets: 0 };
    }
    sampled.packets += 1;
    sampled.packets <= USED_PER_TICK
}

/// Notes that a source was let in just now.
#[inline(never)]
pub(crate) fn set_used(source: &Address) {
    let key = source.octets();
    let now_ns = boot_now_ns();
    match USED.get_ptr_mut(key) {
        // SAFETY: an aligned word of the map's memory; at worst another source gets it that has just taken the place.
        Some(used) => unsafe { used.write_volatile(now_ns) },
        // Where it can't be, the next one is.
        None => _ = USED.insert(key, now_ns, BPF_ANY as u64),
    }
}

/// Counts a decided packet under the numbers of its [`Mode`](guard_common::policy::Mode) and
/// [`Reason`](guard_common::policy::Reason); returns how many that makes on this CPU.
#[inline(always)]
pub(crate) fn count(service: u8, cause: Cause, bytes: u32) -> u64 {
    add(COUNTERS.get_ptr_mut(counter_index(service, cause.mode, cause.reason)), bytes)
}

/// Counts a frame that carries no IP packet.
#[inline(always)]
pub(crate) fn count_link(link_type: LinkType, bytes: u32) {
    add(LINK_TYPES.get_ptr_mut(link_type as u32), bytes);
}

#[inline(always)]
fn add(counter: Option<*mut Counter>, bytes: u32) -> u64 {
    let Some(counter) = counter else { return 0 };
    // SAFETY: this CPU's own element, and a packet is not interrupted by another on the same CPU.
    unsafe {
        (*counter).packets += 1;
        (*counter).bytes += bytes as u64;
        (*counter).packets
    }
}

/// Adds to two numbers of this CPU's element.
#[inline(always)]
pub(crate) fn add_numbers(request: &AddRequest) {
    let AddRequest { table, index, numbers } = *request;
    let element = if table == Counted::Counters as u32 {
        COUNTERS.get_ptr_mut(index).map(|counter| counter.cast::<[u64; 2]>())
    } else if table == Counted::LinkTypes as u32 {
        LINK_TYPES.get_ptr_mut(index).map(|counter| counter.cast())
    } else {
        UNREPORTED.get_ptr_mut(index).map(|unreported| unreported.cast())
    };
    let Some(element) = element else { return };
    // SAFETY: this CPU's own element, which begins with two u64 in each of the tables, and the run is not interrupted by one that
    // counts a packet.
    unsafe {
        (*element)[0] += numbers[0];
        (*element)[1] += numbers[1];
    }
}

/// Lends this CPU's budget and one of its sets of gates to `work`.
#[inline(always)]
pub(crate) fn with_gates(set: u32, work: impl FnOnce(&mut GateSet, &mut Budget)) {
    let (Some(gates), Some(budget)) = (GATES.get_ptr_mut(set), BUDGET.get_ptr_mut(0)) else { return };
    // SAFETY: this CPU's own elements of two maps, borrowed only here, and XDP programs run with bottom halves off,
    // under test_run too, so no other run on this CPU comes between.
    unsafe { work(&mut *gates, &mut *budget) }
}

/// Changes this CPU's count of a reason's packets that no event stands for.
#[inline(always)]
pub(crate) fn with_unreported(reason: u8, work: impl FnOnce(&mut Unreported)) {
    let Some(unreported) = UNREPORTED.get_ptr_mut(reason as u32) else { return };
    // SAFETY: as for the gates.
    unsafe { work(&mut *unreported) }
}

/// Copies an event into the ring; false if the ring is full.
#[inline(always)]
pub(crate) fn output(event: &BlockEvent) -> bool {
    EVENTS.output(event, 0).is_ok()
}
