//! The layout of a generation: one policy compiled into one array of lines, and the reader of everything in it but the
//! sets' insides ([`crate::prefix`]).
//!
//! ```text
//! line 0            header: word 0 = layout | mode << 16 | default << 24 | services << 32 | mode of the malformed << 40,
//!                   word 1 = generation number,
//!                   words 2 to 7 = sets: deny v4, deny v6, allow v4, allow v6, any v4, any v6
//! lines 1..=2048    ports: one byte each, TCP's 65,536, then UDP's; 0 = no service's, 1 to 63 = the service, 128 = failsafe
//! from line 2049    services 1 to n, a line each: word 0 = mode, word 1 = own set v4, word 2 = own set v6
//! behind            the sets' boundaries
//! ```

use crate::{
    policy::{Mode, Set, Target},
    prefix::{Line, Lines, SetRef},
};

/// Generations that the kernel can hold at once.
pub const SLOTS: usize = 4;

/// The version of this layout, written into each header.
pub const LAYOUT: u16 = 1;

const PORTS_FIRST_LINE: u32 = 1;
const PORTS_PER_LINE: u32 = 64;
const PORTS_LINES: u32 = 2 * 65_536 / PORTS_PER_LINE;

/// The line of service 1.
pub const SERVICES_FIRST_LINE: u32 = PORTS_FIRST_LINE + PORTS_LINES;

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

/// What a generation's first line says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    pub number: u64,
    /// The mode of service 0.
    pub mode: Mode,
    /// The mode of packets so malformed that no service can be told from them.
    pub malformed_mode: Mode,
    /// Whether ports of no service pass unasked.
    pub passes_by_default: bool,
    pub services: u8,
    pub deny: FamilySets,
    pub allow: FamilySets,
    pub any: FamilySets,
}

/// A set's two halves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FamilySets {
    pub v4: SetRef,
    pub v6: SetRef,
}

/// What a service's line says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Service {
    pub mode: Mode,
    pub allow: FamilySets,
}

impl Header {
    pub const fn to_line(&self) -> Line {
        [
            LAYOUT as u64
                | (self.mode as u64) << 16
                | (self.passes_by_default as u64) << 24
                | (self.services as u64) << 32
                | (self.malformed_mode as u64) << 40,
            self.number,
            self.deny.v4.to_word(),
            self.deny.v6.to_word(),
            self.allow.v4.to_word(),
            self.allow.v6.to_word(),
            self.any.v4.to_word(),
            self.any.v6.to_word(),
        ]
    }
}

impl Service {
    pub const fn to_line(&self) -> Line {
        [self.mode as u64, self.allow.v4.to_word(), self.allow.v6.to_word(), 0, 0, 0, 0, 0]
    }
}

/// Returns the line and the byte in it that say what a port belongs to.
#[inline(always)]
pub const fn port_place(tcp: bool, port: u16) -> (u32, u32) {
    let index = (if tcp { 0 } else { 65_536 }) + port as u32;
    (PORTS_FIRST_LINE + index / PORTS_PER_LINE, index % PORTS_PER_LINE)
}

/// Returns the byte that stands for a port's target.
pub const fn port_byte(target: Target) -> u8 {
    match target {
        Target::Service(service) => service,
        Target::Failsafe => PORT_FAILSAFE,
        Target::Unnamed => 0,
    }
}

/// A generation, read through its lines.
pub struct Generation<'a, L> {
    lines: &'a L,
    header: &'a Line,
}

impl<'a, L: Lines> Generation<'a, L> {
    /// Returns nothing for a table without a first line.
    #[inline(always)]
    pub fn open(lines: &'a L) -> Option<Self> {
        Some(Self { lines, header: lines.line(0)? })
    }

    /// Returns the version of the layout in which the generation was written.
    pub fn layout(&self) -> u16 {
        self.header[0] as u16
    }

    #[inline(always)]
    pub fn number(&self) -> u64 {
        self.header[1]
    }

    #[inline(always)]
    pub fn passes_by_default(&self) -> bool {
        (self.header[0] >> 24) & 0xff != 0
    }

    /// Returns what a port belongs to; a port whose line is missing belongs to no service.
    #[inline(always)]
    pub fn target(&self, tcp: bool, port: u16) -> Target {
        let (line, byte) = port_place(tcp, port);
        let Some(line) = self.lines.line(line) else { return Target::Unnamed };
        match (line[(byte / 8) as usize & 7] >> ((byte % 8) * 8)) as u8 {
            0 => Target::Unnamed,
            PORT_FAILSAFE => Target::Failsafe,
            service => Target::Service(service & 0x3f),
        }
    }

    /// Returns the mode that a service's drops follow; one whose line is missing is enforced.
    #[inline(always)]
    pub fn mode(&self, service: u8) -> Mode {
        let word = match service {
            0 => self.header[0] >> 16,
            _ => match self.service(service) {
                Some(line) => line[0],
                None => return Mode::Enforce,
            },
        };
        mode_of(word)
    }

    /// Returns the mode of packets so malformed that no service can be told from them.
    #[inline(always)]
    pub fn malformed_mode(&self) -> Mode {
        mode_of(self.header[0] >> 40)
    }

    /// Returns where the half of a set lies that a packet of this version asks.
    #[inline(always)]
    pub fn set(&self, set: Set, version: u8) -> SetRef {
        let family = (version != 4) as usize;
        let word = match set {
            Set::Deny => self.header[2 + family],
            Set::Allow => self.header[4 + family],
            Set::Any => self.header[6 + family],
            Set::Service(service) => match self.service(service) {
                Some(line) => line[1 + family],
                None => 0,
            },
        };
        SetRef::from_word(word)
    }

    #[inline(always)]
    fn service(&self, service: u8) -> Option<&'a Line> {
        self.lines.line(SERVICES_FIRST_LINE + (service as u32).checked_sub(1)?)
    }
}

#[inline(always)]
const fn mode_of(word: u64) -> Mode {
    if word & 0xff == Mode::Monitor as u64 { Mode::Monitor } else { Mode::Enforce }
}
