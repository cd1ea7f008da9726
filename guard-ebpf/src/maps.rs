//! The kernel's tables, and the questions the program asks of them.

use aya_ebpf::{
    bindings::{BPF_F_INNER_MAP, BPF_F_MMAPABLE},
    btf_maps::{Array, ArrayOfMaps, HashMap, PerCpuArray, RingBuf},
    macros::btf_map,
    programs::XdpContext,
};
use guard_common::{
    address::Address,
    gate::Cause,
    generation::{Generation, Head, Live, SLOTS, set_index},
    packet::{LinkType, Packet},
    policy::{Facts, REASONS_MAX, Set, Target},
    prefix::{Line, Lines},
    records::{
        ADDRESS_WORDS, BlockEvent, Budget, COUNTERS_LENGTH, Counter, GATE_SETS, GateSet, LINK_TYPES_LENGTH,
        SERVICE_NAME_MAX, SERVICES_LENGTH, Unreported, address_bit, counter_index,
    },
};

use crate::context::{forget, interface};

/// Own addresses that can be held: far more than interfaces of one host have.
const ADDRESSES_MAX: usize = 4096;

const EVENTS_BYTES: usize = 1 << 20;

type FarLines = Array<Line, 1, { (BPF_F_MMAPABLE | BPF_F_INNER_MAP) as usize }>;

#[btf_map]
static HEADS: ArrayOfMaps<Array<Head, 1, { BPF_F_MMAPABLE as usize }>, SLOTS> = ArrayOfMaps::new();
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

#[inline(always)]
fn generation(live: u64) -> Option<Generation<'static, Far>> {
    Some(Generation { head: HEADS.get(Live(live).slot())?.get(0)?, far: Far { live } })
}

/// The policy in force for one packet: read once, so that one generation decides.
pub(crate) struct Policy<'a> {
    context: &'a XdpContext,
    live: u64,
    pub(crate) generation: Generation<'static, Far>,
}

impl<'a> Policy<'a> {
    #[inline(always)]
    pub(crate) fn live(context: &'a XdpContext) -> Option<Self> {
        // SAFETY: the pointer is to the one element of an array that is never freed; volatile because the daemon
        // writes it through its own mapping.
        let live = unsafe { LIVE.get_ptr(0)?.read_volatile() };
        Some(Self { context, live, generation: generation(live)? })
    }
}

impl Facts for Policy<'_> {
    #[inline(always)]
    fn target(&self, tcp: bool, port: u16) -> Target {
        self.generation.target(tcp, port)
    }

    #[inline(always)]
    fn passes_by_default(&self) -> bool {
        self.generation.passes_by_default()
    }

    #[inline(always)]
    fn contains(&self, set: Set, packet: &Packet) -> bool {
        let Packet { version, source, .. } = *packet;
        if let (Set::Allow, 4) = (set, version) {
            return self.generation.contains(set, version, source);
        }
        self.generation.has(set, version)
            && set_contains(self.live, (set_index(set) as u64) << 8 | version as u64, source.high, source.low) != 0
    }

    #[inline(always)]
    fn is_own_address(&self, address: Address) -> bool {
        let address = address.on_interface(interface(self.context));
        let (word, bit) = address_bit(address);
        let Some(bits) = ADDRESS_BITS.get_ptr(word) else { return false };
        // SAFETY: as for LIVE.
        let bits = unsafe { bits.read_volatile() };
        // SAFETY: the value is never read.
        bits & bit != 0 && unsafe { ADDRESSES.get(&address.octets()) }.is_some()
    }
}

/// Searches a set of the generation that `live` names; not 0 if it holds the address. `place` is the set's index, and the
/// family's version in the low byte.
///
/// A global function in BTF's sense: the verifier walks through it once, not once for each set that is asked. So it takes
/// numbers only, and finds the generation again by itself. IPv4's `allow` is searched in place: where the processor's returns
/// are guarded (`spec_rstack_overflow`), a call costs as much as a search.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn set_contains(live: u64, place: u64, high: u64, low: u64) -> u32 {
    let Some(generation) = generation(live) else { return 0 };
    generation.holds((place >> 8) as usize, place as u8, Address { high, low }) as u32
}

/// Counts a decided packet under the numbers of its [`Mode`](guard_common::policy::Mode) and
/// [`Reason`](guard_common::policy::Reason).
#[inline(always)]
pub(crate) fn count(service: u8, cause: Cause, bytes: u32) {
    add(COUNTERS.get_ptr_mut(counter_index(service, cause.mode, cause.reason)), bytes);
}

/// Counts a frame that carries no IP packet.
#[inline(always)]
pub(crate) fn count_link(link_type: LinkType, bytes: u32) {
    add(LINK_TYPES.get_ptr_mut(link_type as u32), bytes);
}

#[inline(always)]
fn add(counter: Option<*mut Counter>, bytes: u32) {
    let Some(counter) = counter else { return };
    // SAFETY: this CPU's own element, and a packet is not interrupted by another on the same CPU.
    unsafe {
        (*counter).packets += 1;
        (*counter).bytes += bytes as u64;
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
    EVENTS.output(*event, 0).is_ok()
}
