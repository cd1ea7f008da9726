//! Services by number: which one a policy's services are counted under, and what the numbers of events are called.

use std::collections::BTreeMap;

use anyhow::Context as _;
use tracing::warn;

use super::blocks::Blocks;
use crate::{
    kernel::{Counters, Flusher, KernelError, ServiceNames},
    policy::{Numbers, Service, number_bits},
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

    /// Gives each service its number before packets are counted under it.
    pub(super) async fn enroll(
        &mut self,
        services: &mut [Service],
        counters: &mut Counters,
        flusher: &Flusher,
        blocks: &mut Blocks,
    ) -> anyhow::Result<()> {
        let given = self.numbers.assign(services)?;
        if given.iter().any(|given| given.taken) {
            // What is still to be told of a service that is gone is told under its name.
            blocks.tell_all(flusher).await.context("giving a gone service's number to another")?;
        }
        for given in given {
            if given.taken {
                counters.clear(given.number)?;
            }
            self.table.set_name(given.number, &given.name)?;
            self.numbers.names.insert(given.number, given.name);
        }
        blocks.names.services = self.names();
        // Until the switch either policy may count.
        Ok(self.set_in_force(self.numbers.in_force | number_bits(services))?)
    }

    /// Notes whose packets are counted from now on. If it can't be, no number is given on that might be.
    pub(super) fn settle(&mut self, services: &[Service]) {
        if let Err(error) = self.set_in_force(number_bits(services)) {
            warn!("which services are counted is not noted: {:#}", anyhow::Error::from(error));
        }
    }

    fn set_in_force(&mut self, bits: u64) -> Result<(), KernelError> {
        self.table.set_in_force(bits)?;
        self.numbers.in_force = bits;
        Ok(())
    }
}
