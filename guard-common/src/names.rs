//! Names that the kernel object and the daemon must spell the same. Each stands in the object as the name of a static
//! or a function; a host test parses the object and finds every one.

/// The XDP program that decides on packets.
pub const PROGRAM_GUARD: &str = "guard";
/// The XDP program that reports what the running CPU's gates hold; run by test_run, never attached.
pub const PROGRAM_FLUSH: &str = "guard_flush";
/// The XDP program that adds to what the running CPU has counted; run by test_run, never attached.
pub const PROGRAM_ADD: &str = "guard_add";

/// The traffic-control program that notes flows of packets that leave.
pub const PROGRAM_EGRESS: &str = "guard_egress";

/// The program that sees connections of sockets in a cgroup begin and end (sock_ops).
pub const PROGRAM_SOCKETS: &str = "guard_sockets";
/// The XDP program that counts a connection for the daemon; run by test_run, never attached.
pub const PROGRAM_COUNT: &str = "guard_count";

/// Array of maps, one a slot: an array of one [`crate::generation::Head`].
pub const HEADS: &str = "HEADS";
/// Array of maps, one a slot: arrays of [`crate::prefix::Line`], those behind the near lines of the slot's head.
pub const POLICY: &str = "POLICY";
/// Array of one [`crate::generation::Live`].
pub const LIVE: &str = "LIVE";
/// Hash from 16 address bytes to nothing of meaning: own addresses of guarded interfaces, each as
/// [`crate::address::Address::on_interface`].
pub const ADDRESSES: &str = "ADDRESSES";
/// Array of [`crate::records::ADDRESS_WORDS`] u64: [`crate::records::address_bit`] of every key in `ADDRESSES`.
pub const ADDRESS_BITS: &str = "ADDRESS_BITS";
/// Per-CPU array of [`crate::records::Counter`], by [`crate::records::counter_index`].
pub const COUNTERS: &str = "COUNTERS";
/// Array of names of services, by number ([`crate::records::SERVICES_LENGTH`]); only the daemon reads and writes it.
pub const SERVICES: &str = "SERVICES";
/// Per-CPU array of [`crate::records::Counter`], by [`crate::packet::LinkType`].
pub const LINK_TYPES: &str = "LINK_TYPES";
/// Per-CPU array of [`crate::records::GateSet`].
pub const GATES: &str = "GATES";
/// Per-CPU array of one [`crate::records::Budget`].
pub const BUDGET: &str = "BUDGET";
/// Per-CPU array of [`crate::records::Unreported`], by [`crate::policy::Reason`].
pub const UNREPORTED: &str = "UNREPORTED";
/// Ring buffer of [`crate::records::BlockEvent`].
pub const EVENTS: &str = "EVENTS";

/// Per-CPU array of pairs of [`crate::packet::Packet`]: room for a run of either program.
pub const PACKETS: &str = "PACKETS";
/// Array of maps, by [`crate::limits::Limit::place`]: an array of [`crate::limits::LIMIT_LINES`]
/// [`crate::bucket::BucketLine`], the buckets of a limit that has one for each source.
pub const BUCKETS: &str = "BUCKETS";
/// Array of [`crate::limits::LIMIT_PLACES`] [`crate::bucket::BucketLine`]: the bucket of a limit that all sources share, by
/// [`crate::limits::Limit::place`].
pub const TOTALS: &str = "TOTALS";
/// Array of [`crate::limits::LIMIT_PLACES`] [`crate::records::LimitPlace`]: whose place it is; only the daemon reads and writes it.
pub const LIMITS: &str = "LIMITS";
/// Array of one [`crate::siphash::Key`]: the key of the buckets' hash.
pub const BUCKET_KEY: &str = "BUCKET_KEY";
/// LRU hash from [`crate::records::PendingKey`] to u64: when a UDP flow of a service is forgotten, CLOCK_MONOTONIC (coarse), in ns.
pub const PENDING: &str = "PENDING";
/// LRU hash from [`crate::flow::FlowKey`] to [`crate::flow::Flow`].
pub const FLOWS: &str = "FLOWS";
/// Array of [`crate::records::PORT_WORDS`] u64: a bit for each port on which something listens
/// ([`crate::records::port_bit`]).
pub const LISTENING: &str = "LISTENING";
/// Array of [`crate::records::PORT_WORDS`] u64: [`crate::flow::FlowKey::port_bit`] of every key that was ever in `FLOWS`.
pub const FLOW_PORTS: &str = "FLOW_PORTS";
/// Hash from [`crate::timed::PrefixKey`] to [`crate::timed::Until`].
pub const BANS: &str = "BANS";
/// Hash from [`crate::timed::PrefixKey`] to [`crate::timed::Until`].
pub const GRANTS: &str = "GRANTS";
/// Array of one array of [`crate::timed::LENGTH_WORDS`] u64: [`crate::timed::length_bit`] of every key of `BANS` and `GRANTS`.
pub const TIMED_LENGTHS: &str = "TIMED_LENGTHS";
/// LRU hash from 16 address bytes to u64: when a packet of the source was last seen to be let in by a list or a grant,
/// CLOCK_BOOTTIME in ns.
pub const USED: &str = "USED";
/// Per-CPU array of one [`crate::records::Sampled`].
pub const SAMPLED: &str = "SAMPLED";

/// LRU hash from [`crate::connections::HandshakeKey`] to [`crate::connections::Handshake`].
pub const HANDSHAKES: &str = "HANDSHAKES";
/// LRU hash from [`crate::connections::HandshakeKey`] to u64: when a SYN was refused that was told as a violation, CLOCK_MONOTONIC
/// (coarse), in ns.
pub const REFUSED: &str = "REFUSED";
/// LRU hash from [`crate::connections::ConnectionKey`] to [`crate::connections::HalfOpen`].
pub const HALF_OPEN: &str = "HALF_OPEN";
/// Hash from a socket's cookie to [`crate::connections::Socket`]: every connection that is counted.
pub const SOCKETS: &str = "SOCKETS";
/// Hash from [`crate::connections::ConnectionKey`] to u64: how many of `SOCKETS` are a source's at a service.
pub const CONNECTIONS: &str = "CONNECTIONS";
/// Array of [`crate::connections::OPEN_WORDS`] u64: how many of `SOCKETS` are a service's, by its number; at 0 all of them.
pub const OPEN: &str = "OPEN";
/// LRU hash from [`crate::connections::ProofKey`] to [`crate::connections::Proof`].
pub const PROOFS: &str = "PROOFS";
/// Ring buffer of [`crate::connections::Violation`].
pub const VIOLATIONS: &str = "VIOLATIONS";

/// Global of type u64: the random seed of the gates' hash.
pub const GATE_SEED: &str = "GATE_SEED";
/// Global of type u64: milliseconds of one of the kernel's ticks, times 2^16.
pub const TICK_MS: &str = "TICK_MS";

/// Every map that guard's own code names.
pub const MAPS: [&str; 34] = [
    HEADS,
    POLICY,
    LIVE,
    ADDRESSES,
    ADDRESS_BITS,
    COUNTERS,
    SERVICES,
    LINK_TYPES,
    GATES,
    BUDGET,
    UNREPORTED,
    EVENTS,
    PACKETS,
    BUCKETS,
    TOTALS,
    LIMITS,
    BUCKET_KEY,
    PENDING,
    FLOWS,
    FLOW_PORTS,
    LISTENING,
    BANS,
    GRANTS,
    TIMED_LENGTHS,
    USED,
    SAMPLED,
    HANDSHAKES,
    REFUSED,
    HALF_OPEN,
    SOCKETS,
    CONNECTIONS,
    OPEN,
    PROOFS,
    VIOLATIONS,
];
