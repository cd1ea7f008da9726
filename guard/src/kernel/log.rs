//! The kernel program's own log, forwarded into the daemon's.

use std::io;

use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::{Interest, unix::AsyncFd};
use tracing::warn;

use super::KernelError;

/// Forwards records for as long as the runtime runs.
pub(super) fn forward(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    let logger = EbpfLogger::init(ebpf).map_err(|error| KernelError::Load(error.into()))?;
    // SAFETY: the logger owns its ring's descriptor and gives out the same one for as long as it lives.
    let logger = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
    let mut logger = logger.map_err(|error| KernelError::Load(error.into()))?;
    tokio::spawn(async move {
        let stopped: io::Error = loop {
            match logger.readable_mut().await {
                Ok(mut ready) => {
                    ready.get_inner_mut().flush();
                    ready.clear_ready();
                }
                Err(error) => break error,
            }
        };
        warn!("the kernel program's log ended: {stopped}");
    });
    Ok(())
}
