//! Whether the sockets of the cgroup are followed, so that connections to services are counted.

use crate::{
    kernel::{Connections, KernelError, Sockets, SocketsError},
    policy::Policy,
};

pub(super) struct Following {
    sockets: Sockets,
    pub(super) connections: Connections,
}

impl Following {
    pub(super) fn new(sockets: Sockets, connections: Connections) -> Self {
        Self { sockets, connections }
    }

    /// Follows the cgroup of a policy that is about to come into force, if any of its services asks for it.
    pub(super) fn begin(&self, policy: &Policy) -> Result<(), SocketsError> {
        if !policy.tracks_connections() {
            return Ok(());
        }
        // What was closed while nobody looked is counted still.
        self.sockets.attach(&policy.cgroup, || self.connections.forget())
    }

    /// Follows the cgroup of the policy in force again where that was made anew; returns what is the matter.
    pub(super) fn keep(&self, policy: &Policy) -> Option<String> {
        let follows = || self.sockets.follows(&policy.cgroup).unwrap_or(false);
        if !policy.tracks_connections() || follows() {
            return None;
        }
        self.begin(policy).err().map(|error| format!("{:#}", anyhow::Error::from(error)))
    }

    /// Follows nothing any more, unless a service of the policy in force asks for it.
    pub(super) fn end(&self, policy: &Policy) -> Result<(), KernelError> {
        if policy.tracks_connections() { Ok(()) } else { self.sockets.detach() }
    }
}
