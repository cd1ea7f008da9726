//! What the kernel program counted, summed over the CPUs.

use aya::{
    Ebpf,
    maps::{MapData, MapError, PerCpuArray, PerCpuValues},
    util::nr_cpus,
};
use guard_common::{
    names,
    packet::LinkType,
    policy::{Mode, Reason, SERVICES_MAX, Verdict},
    records::{Counter, Unreported, counter_index},
};

use super::{KernelError, take_map};

/// A per-CPU element, as words: a [`Counter`], an [`Unreported`].
type CounterWords = [u64; size_of::<Counter>() / 8];
type UnreportedWords = [u64; size_of::<Unreported>() / 8];

/// The kernel's counters.
pub(crate) struct Counters {
    decisions: PerCpuArray<MapData, CounterWords>,
    link_types: PerCpuArray<MapData, CounterWords>,
    unreported: PerCpuArray<MapData, UnreportedWords>,
}

/// Packets and bytes of one service, one mode and one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) service: u8,
    /// That of a drop.
    pub(crate) mode: Mode,
    pub(crate) reason: Reason,
    pub(crate) count: Counter,
}

impl Counters {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            decisions: take_map(ebpf, names::COUNTERS)?,
            link_types: take_map(ebpf, names::LINK_TYPES)?,
            unreported: take_map(ebpf, names::UNREPORTED)?,
        })
    }

    /// Returns what is not zero.
    pub(crate) fn decisions(&self) -> Result<Vec<Totals>, KernelError> {
        let mut totals = Vec::new();
        for service in 0..=SERVICES_MAX as u8 {
            for (mode, reason) in modes_and_reasons() {
                let [packets, bytes] = sum(&self.decisions, counter_index(service, mode as u32, reason as u8))
                    .map_err(KernelError::map(names::COUNTERS))?;
                if packets > 0 {
                    totals.push(Totals {
                        service,
                        mode,
                        reason,
                        count: Counter { packets, bytes, ..Counter::default() },
                    });
                }
            }
        }
        Ok(totals)
    }

    /// Forgets what was counted for a service that is gone; of one whose packets still come, some would be lost.
    pub(crate) fn clear(&mut self, service: u8) -> Result<(), KernelError> {
        let cpus = nr_cpus().map_err(|(_, error)| KernelError::map(names::COUNTERS)(error))?;
        for (mode, reason) in modes_and_reasons() {
            let zeros = PerCpuValues::try_from(vec![CounterWords::default(); cpus])
                .map_err(KernelError::map(names::COUNTERS))?;
            let index = counter_index(service, mode as u32, reason as u8);
            self.decisions.set(index, zeros, 0).map_err(KernelError::map(names::COUNTERS))?;
        }
        Ok(())
    }

    /// Returns what frames without an IP packet carried, where it is not zero.
    pub(crate) fn link_types(&self) -> Result<Vec<(LinkType, Counter)>, KernelError> {
        let mut counts = Vec::new();
        for link_type in LinkType::ALL {
            let [packets, bytes] =
                sum(&self.link_types, link_type as u32).map_err(KernelError::map(names::LINK_TYPES))?;
            if packets > 0 {
                counts.push((link_type, Counter { packets, bytes, ..Counter::default() }));
            }
        }
        Ok(counts)
    }

    /// Returns the blocked packets that no event stands for.
    pub(crate) fn unreported(&self) -> Result<Unreported, KernelError> {
        let mut total = Unreported::default();
        for reason in Reason::ALL.into_iter().filter(|reason| reason.verdict() == Verdict::Drop) {
            let [merged, lost] = sum(&self.unreported, reason as u32).map_err(KernelError::map(names::UNREPORTED))?;
            total.merged += merged;
            total.lost += lost;
        }
        Ok(total)
    }
}

fn modes_and_reasons() -> impl Iterator<Item = (Mode, Reason)> {
    Mode::ALL.into_iter().flat_map(|mode| Reason::ALL.into_iter().map(move |reason| (mode, reason)))
}

/// Returns the sums of an element's first two words.
fn sum<const WORDS: usize>(table: &PerCpuArray<MapData, [u64; WORDS]>, index: u32) -> Result<[u64; 2], MapError> {
    let values = table.get(&index, 0)?;
    Ok(values.iter().fold([0, 0], |[first, second], value| [first + value[0], second + value[1]]))
}
