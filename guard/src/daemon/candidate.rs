//! A policy that may come into force: read, compared with the one that is, and found fit to take its place.

use crate::{
    config::{self, Sources},
    export::{LogFile, Outputs},
    instance::Instance,
    policy::{ListChange, Policy, Word as _},
    refusal::Refusal,
};

/// How the daemon was started, which no reload changes.
pub(super) struct Startup {
    pub(super) instance: Instance,
    pub(super) sources: Sources,
    /// Whether interfaces may be missing.
    pub(super) wait: bool,
    pub(super) log_level: Option<String>,
}

/// A policy without a fault, with what it needs to come into force.
pub(super) struct Candidate {
    pub(super) policy: Policy,
    pub(super) warnings: Vec<String>,
    pub(super) changes: Vec<ListChange>,
    /// Where lines go from now on, if that is another place, or another file at the same one.
    pub(super) outputs: Option<Outputs>,
}

impl Candidate {
    /// Reads the whole configuration again; may take long. `log` is the file that lines are written to.
    ///
    /// # Errors
    /// Every fault of the configuration; or every change that can't be made in place, and every list that would lose most
    /// of its entries unless that is `forced`.
    pub(super) fn read(
        startup: &Startup,
        in_force: &Policy,
        log: Option<&LogFile>,
        forced: bool,
    ) -> anyhow::Result<Self> {
        let loaded = config::load(&startup.sources)?;
        let policy = loaded.policy;
        let changes = ListChange::between(in_force, &policy);
        let surprising = changes.iter().filter(|change| change.is_surprising());
        let mut objections = refused_changes(startup, in_force, &policy, loaded.log_level.as_deref());
        let mut warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        for ListChange { list, before, removed, .. } in surprising {
            if forced {
                warnings.push(format!("the last reload was forced: {removed} of {before} entries of {list} vanished"));
            } else {
                let command = startup.instance.command("reload --force");
                objections.push(format!(
                    "{list}: {removed} of {before} entries would vanish, more than half: `{command}` if that is meant"
                ));
            }
        }
        if !objections.is_empty() {
            return Err(Refusal::Changes(objections).into());
        }
        let outputs = Outputs::open(&policy.log, log)?;
        let others = policy.log != in_force.log || outputs.file() != log;
        Ok(Self { policy, warnings, changes, outputs: others.then_some(outputs) })
    }
}

/// Says what is another value now and can't be changed while the daemon and its program run.
fn refused_changes(startup: &Startup, old: &Policy, new: &Policy, log_level: Option<&str>) -> Vec<String> {
    let mut objections = Vec::new();
    if new.xdp_mode != old.xdp_mode {
        let (old, new, down) = (old.xdp_mode.word(), new.xdp_mode.word(), startup.instance.command("down"));
        objections.push(format!(
            "xdp_mode can't be changed from `{old}` to `{new}` while the program is attached: end enforcement with \
             `{down}`, and start `guard run` again"
        ));
    }
    if log_level != startup.log_level.as_deref() {
        let text = |level: Option<&str>| level.map_or_else(|| "its default".to_owned(), |level| format!("`{level}`"));
        let (old, new) = (text(startup.log_level.as_deref()), text(log_level));
        objections.push(format!(
            "LOG_LEVEL can't be changed from {old} to {new} while the daemon runs: start `guard run` again, which takes \
             over without a gap"
        ));
    }
    objections
}
