//! Services by number: which one a policy's services are counted under, and what the numbers of events are called.

use std::collections::BTreeMap;

use anyhow::Context as _;
use tracing::warn;

use super::blocks::Blocks;
use crate::{
    kernel::{Counters, Flusher, KernelError, ServiceNames},
    policy::{Given, NoNumber, Numbers, Service, number_bits},
};

/// The numbers given so far, here and in the kernel.
pub(super) struct Roster {
    table: ServiceNames,
    numbers: Numbers,
}

impl Roster {
    /// Reads what an earlier run left.
    pub(super) fn open(table: ServiceNames) -> Result<Self, KernelError> {
        let numbers = table.read()?;
        Ok(Self { table, numbers })
    }

    /// The names by number, of services that are gone as well.
    pub(super) fn names(&self) -> BTreeMap<u8, String> {
        self.numbers.names.clone()
    }

    /// The numbers under which packets may be counted, a bit each.
    pub(super) fn counted(&self) -> u64 {
        self.numbers.in_force
    }

    /// Gives each service its number; returns those that are new to their service, of which nothing is noted yet.
    pub(super) fn assign(&self, services: &mut [Service]) -> Result<Vec<Given>, NoNumber> {
        self.numbers.assign(services)
    }

    /// Notes the numbers that were given, just before packets may be counted under them. Whether or not that does, it takes
    /// [`Self::settle`] to say under which numbers they are in the end.
    pub(super) fn enroll(
        &mut self,
        given: Vec<Given>,
        services: &[Service],
        counters: &mut Counters,
    ) -> Result<(), KernelError> {
        // Until the switch either policy may count.
        self.set_in_force(self.numbers.in_force | number_bits(services))?;
        for given in given {
            if given.taken {
                counters.clear(given.number)?;
            }
            self.table.set_name(given.number, &given.name)?;
            self.numbers.names.insert(given.number, given.name);
        }
        Ok(())
    }

    /// Notes under which numbers packets are counted from now on. If that can't be, no number is given on under which they
    /// might be.
    pub(super) fn settle(&mut self, counted: u64) {
        if let Err(error) = self.set_in_force(counted) {
            warn!("which services are counted is not noted: {:#}", anyhow::Error::from(error));
        }
    }

    fn set_in_force(&mut self, bits: u64) -> Result<(), KernelError> {
        self.table.set_in_force(bits)?;
        self.numbers.in_force = bits;
        Ok(())
    }
}

/// Writes what is still to be told of services that are gone, under their names, before their numbers go to others.
pub(super) async fn tell_gone(given: &[Given], flusher: &Flusher, blocks: &mut Blocks) -> anyhow::Result<()> {
    if given.iter().any(|given| given.taken) {
        blocks.tell_all(flusher).await.context("giving a gone service's number to another")?;
    }
    Ok(())
}
