//! Which login sessions a change would cut, and what would save them.

mod ways;

use crate::{
    policy::{Hindrance, Judgement, Port, Protocol, Reach},
    sessions::Session,
};

pub(crate) use ways::is_guarded;

/// A session that a change cuts.
#[derive(Debug)]
pub(crate) struct Cut {
    /// The session, from where and to which port.
    session: String,
    hindrance: String,
    /// What would save it.
    remedy: String,
}

/// Returns each session that passes before a change and not after it. Before a first run everything passes, which `None` stands
/// for; a session that does not come by a guarded interface is never cut.
pub(crate) fn cut_sessions(
    sessions: &[Session],
    before: Option<&Reach<'_>>,
    after: &Reach<'_>,
    mut is_guarded: impl FnMut(&Session) -> bool,
) -> Vec<Cut> {
    let cut = |session: &Session| {
        let port = Port { protocol: Protocol::Tcp, number: session.local.port() };
        let Judgement::Drops(hindrance) = after.judge(session.peer, port) else { return None };
        let passes = before.is_none_or(|before| before.judge(session.peer, port) == Judgement::Passes);
        (passes && is_guarded(session)).then(|| Cut::new(session, port, &hindrance, after))
    };
    sessions.iter().filter_map(cut).collect()
}

impl Cut {
    fn new(Session { peer, what, .. }: &Session, port: Port, hindrance: &Hindrance, after: &Reach<'_>) -> Self {
        let remedy = match hindrance {
            Hindrance::Blocked { .. } | Hindrance::Banned { .. } => format!("leave {peer} out of that"),
            Hindrance::NotAllowed { .. } if is_lockdown(after) => format!("add --except {peer}"),
            Hindrance::NotAllowed { service: Some(_) } => format!("keep {peer} in the allowlist"),
            Hindrance::NotAllowed { service: None } => {
                format!("keep {peer} in the allowlist or add `{port}` to failsafe_ports")
            }
        };
        Self { session: format!("{what}, from {peer} to {port},"), hindrance: hindrance.to_string(), remedy }
    }

    /// Says why the change is not made.
    pub(crate) fn objection(&self) -> String {
        let Self { session, hindrance, remedy } = self;
        format!("{session} would be cut, because {hindrance}: {remedy}, or use --force")
    }

    /// Says what was done all the same.
    pub(crate) fn warning(&self) -> String {
        let Self { session, hindrance, .. } = self;
        format!("{session} is cut, because {hindrance}")
    }
}

/// Tells whether a lockdown is what lets nobody in.
fn is_lockdown(after: &Reach<'_>) -> bool {
    !after.policy.grants_hold
}

#[cfg(test)]
mod tests;
