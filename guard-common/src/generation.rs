//! The layout of a generation: one policy compiled into a [`Head`], and the lines of its sets, the first of them in the head
//! too.
//!
//! A head is the one element of its map, which the kernel's program reads without any call; lines lie in a map whose length
//! varies, and there each one costs a call. So what most packets ask lies in the head, and small sets as a whole.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    address::Address,
    connections::Caps,
    limits::{LIMIT_ROWS, LIMITS_MAX, Limit, Limits},
    policy::{Mode, SERVICES_MAX, Set, Target},
    prefix::{self, Line, Lines},
};

/// Generations that the kernel can hold at once.
pub const SLOTS: usize = 4;

/// Lines of sets that lie in the head; the others lie in the slot's map.
pub const NEAR_LINES: usize = 4096;

/// Places for sets: one a service, where 0 stands for none, then `deny`, `allow`, what any service adds and `trusted`, and room up to a whole
/// number of lines.
pub const SETS: usize = 72;

const PORTS: usize = 2 * 65_536;

const PORT_FAILSAFE: u8 = 0x80;

/// The word that names the live generation; one store switches.
///
/// Bits 0 to 7 hold the slot; the others are zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Live(pub u64);

impl Live {
    pub const fn new(slot: u32) -> Self {
        Self(slot as u64 & 0xff)
    }

    #[inline(always)]
    pub const fn slot(self) -> u32 {
        (self.0 & 0xff) as u32
    }
}

/// What every packet may ask of a generation.
#[derive(FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Head {
    pub header: Header,
    /// Where each set begins, by [`set_index`].
    pub sets: [FirstLines; SETS],
    /// What a port belongs to: TCP's, then UDP's; a byte as [`port_byte`] gives it.
    pub ports: [u8; PORTS],
    /// Which limits hold, by [`Limits::row`].
    pub limits: [[Limit; LIMITS_MAX]; LIMIT_ROWS],
    /// What TCP connections are held to, by service; 0 has none.
    pub caps: [Caps; SERVICES_MAX + 1],
    pub near: [Line; NEAR_LINES],
}

/// What a generation is, beside its ports and sets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// Not 0 if ports of no service pass unasked.
    pub passes_by_default: u32,
    /// Not 0 if grants let anybody in.
    pub grants_hold: u32,
    /// A number of its own for each generation of a run.
    pub number: u64,
    /// A bit for each service, by its number, whose mode is [`Mode::Monitor`].
    pub monitored: u64,
    /// The [`Mode`] of packets so malformed that no service can be told from them.
    pub malformed_mode: u64,
    /// A bit for each service with IPv4 addresses of its own, and for each with IPv6 ones.
    pub own_sets: [u64; 2],
    /// A bit for each of the other sets, in [`set_index`]'s order, that is not empty, by family as above.
    pub common_sets: [u64; 2],
}

/// The first line of a set's table for each family; [`FirstLines::NOWHERE`] where it has none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct FirstLines {
    pub v4: u32,
    pub v6: u32,
}

const _: () = {
    assert!(size_of::<Header>() == 64);
    assert!(
        size_of::<Head>()
            == 64 + SETS * 8 + PORTS + LIMIT_ROWS * LIMITS_MAX * 64 + (SERVICES_MAX + 1) * 16 + NEAR_LINES * 64
    );
    assert!(set_index(Set::Trusted) < SETS);
    // A near line lies in one cache line.
    assert!(core::mem::offset_of!(Head, near).is_multiple_of(64));
};

/// Returns the set's place in [`Head::sets`].
#[inline(always)]
pub const fn set_index(set: Set) -> usize {
    match set {
        Set::Service(service) => service as usize & SERVICES_MAX,
        Set::Deny => SERVICES_MAX + 1,
        Set::Allow => SERVICES_MAX + 2,
        Set::AnyService => SERVICES_MAX + 3,
        Set::Trusted => SERVICES_MAX + 4,
    }
}

/// Returns a port's place in [`Head::ports`].
#[inline(always)]
pub const fn port_index(tcp: bool, port: u16) -> usize {
    (if tcp { 0 } else { 65_536 }) + port as usize
}

/// Returns the byte that stands for a port's target.
pub const fn port_byte(target: Target) -> u8 {
    match target {
        Target::Service(service) => service,
        Target::Failsafe => PORT_FAILSAFE,
        Target::Unnamed => 0,
    }
}

impl FirstLines {
    /// Lines that no generation has, so that a set without a table holds nothing.
    pub const NOWHERE: Self = Self { v4: 1 << 31, v6: 1 << 31 };
}

impl Header {
    /// Notes that a set has addresses of the family `version` (4, else IPv6).
    pub fn fill(&mut self, set: Set, version: u8) {
        let (own, bit) = Self::place_of(set);
        let bits = if own { &mut self.own_sets } else { &mut self.common_sets };
        bits[family(version)] |= 1 << bit;
    }

    /// Tells whether a set has an address of the family `version`.
    #[inline(always)]
    pub const fn has(&self, set: Set, version: u8) -> bool {
        let (own, bit) = Self::place_of(set);
        let bits = if own { &self.own_sets } else { &self.common_sets };
        bits[family(version)] >> bit & 1 != 0
    }

    /// Returns whether the set is a service's own, and its bit.
    #[inline(always)]
    const fn place_of(set: Set) -> (bool, u32) {
        let index = set_index(set) as u32;
        (index <= SERVICES_MAX as u32, index & SERVICES_MAX as u32)
    }
}

/// A generation: its head, and whatever gives the lines behind the near ones, counted from their first.
#[derive(Clone, Copy)]
pub struct Generation<'a, F> {
    pub head: &'a Head,
    pub far: F,
}

impl<F: Lines> Lines for Generation<'_, F> {
    #[inline(always)]
    fn line(&self, index: u32) -> Option<&Line> {
        match index.checked_sub(NEAR_LINES as u32) {
            // Forgotten, so that the bound is made sure of here, in the register that counts.
            None => Some(&self.head.near[self.far.forget(index) as usize & (NEAR_LINES - 1)]),
            Some(far) => self.far.line(far),
        }
    }

    #[inline(always)]
    fn forget(&self, value: u32) -> u32 {
        self.far.forget(value)
    }
}

impl<F: Lines> Generation<'_, F> {
    #[inline(always)]
    pub fn number(&self) -> u64 {
        self.head.header.number
    }

    #[inline(always)]
    pub fn passes_by_default(&self) -> bool {
        self.head.header.passes_by_default != 0
    }

    #[inline(always)]
    pub fn grants_hold(&self) -> bool {
        self.head.header.grants_hold != 0
    }

    /// Returns what a port belongs to.
    #[inline(always)]
    pub fn target(&self, tcp: bool, port: u16) -> Target {
        match self.head.ports[port_index(tcp, port) & (PORTS - 1)] {
            0 => Target::Unnamed,
            PORT_FAILSAFE => Target::Failsafe,
            service => Target::Service(service & SERVICES_MAX as u8),
        }
    }

    /// Returns the limits in a row.
    #[inline(always)]
    pub fn limits(&self, limits: Limits) -> &[Limit; LIMITS_MAX] {
        &self.head.limits[limits.row()]
    }

    /// Returns what a service's connections are held to.
    #[inline(always)]
    pub fn caps(&self, service: u8) -> &Caps {
        &self.head.caps[service as usize & SERVICES_MAX]
    }

    /// Returns the mode that a service's drops follow.
    #[inline(always)]
    pub fn mode(&self, service: u8) -> Mode {
        mode(self.head.header.monitored >> (service & SERVICES_MAX as u8))
    }

    /// Returns the mode of packets so malformed that no service can be told from them.
    #[inline(always)]
    pub fn malformed_mode(&self) -> Mode {
        mode(self.head.header.malformed_mode)
    }

    /// Tells whether the set has an address of the family `version` (4, else IPv6).
    #[inline(always)]
    pub fn has(&self, set: Set, version: u8) -> bool {
        self.head.header.has(set, version)
    }

    /// Tells whether the set holds the address of the family `version`.
    #[inline(always)]
    pub fn contains(&self, set: Set, version: u8, address: Address) -> bool {
        self.has(set, version) && self.holds(set_index(set), version, address)
    }

    /// Tells whether the set at an index holds the address.
    #[inline(always)]
    pub fn holds(&self, set: usize, version: u8, address: Address) -> bool {
        let Some(FirstLines { v4, v6 }) = self.head.sets.get(set) else { return false };
        prefix::contains(self, if version == 4 { *v4 } else { *v6 }, version, address)
    }
}

/// Returns the place of a family's bits.
#[inline(always)]
const fn family(version: u8) -> usize {
    (version != 4) as usize
}

#[inline(always)]
const fn mode(bit: u64) -> Mode {
    if bit & 1 == Mode::Monitor as u64 { Mode::Monitor } else { Mode::Enforce }
}
