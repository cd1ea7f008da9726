//! The way of a change: what is asked for is read or edited, compiled and installed on a blocking thread while the
//! daemon's loop goes on.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use tokio::task::spawn_blocking;
use tracing::{error, warn};

use super::{
    Daemon,
    bans::Enforcer,
    candidate::{Candidate, Present},
    flows::{OwnFlows, Switch},
    in_force::InForce,
    look_at,
    outcome::{Answer, Done},
    queue::{Request, What},
    roster,
};
use crate::{
    clock::Clock,
    kernel::{Generations, Prepared, TimedTables},
    launch::{self, Selection},
    live::{Addition, Edit, List, StagedEdit},
    network::Network,
    notify,
    policy::{Given, Policy, number_bits},
    under::{self, Inquiry},
};

/// What a fault of the file system came in the way of.
const NOT_KEPT: &str = "keeping what was edited";

/// What was done for the change under way beside the daemon's loop.
#[expect(clippy::large_enum_variant, reason = "there is one, moved a few times a change")]
pub(super) enum Step {
    /// None if there is nothing to change.
    Read(anyhow::Result<Option<Candidate>>),
    Compiled(Compiled),
    /// A generation is in force, and what stands beside it follows; or why it does not.
    Followed(Done, anyhow::Result<()>),
    /// Bans and grants were changed, and what follows them; or why they were not.
    Applied(InForce, anyhow::Result<Done>),
    /// The audit log has it.
    Noted(Answer, anyhow::Result<Done>),
}

/// A candidate of which a generation was to be made.
pub(super) struct Compiled {
    candidate: Candidate,
    /// The numbers that its services have and had not before.
    given: Vec<Given>,
    generations: Generations,
    result: anyhow::Result<Prepared>,
}

impl Daemon {
    /// Takes a request.
    pub(super) fn request(&mut self, request: Request) {
        self.changes.push(request);
        self.begin_change();
    }

    fn begin_change(&mut self) {
        let Some(request) = self.changes.next() else { return };
        let present = Present {
            startup: Arc::clone(self.changes.startup()),
            in_force: self.in_force.clone(),
            bans: self.banning.bans().clone(),
            warnings: self.warnings.clone(),
            log: self.blocks.log_file().cloned(),
            guarded: self.guarding.indices(),
            under: self.under(&request.what),
        };
        let (what, by, force) = (request.what.clone(), request.by.clone(), request.force);
        if what == What::Reload {
            notify::reloading();
        }
        let read = spawn_blocking(move || Candidate::read(&present, &what, &by, force));
        let step = async { Step::Read(read.await.unwrap_or_else(|error| Err(anyhow!("reading: {error}")))) };
        self.changes.begin(request, step);
    }

    /// Takes what is looked through for what lies under the wide prefixes that an edit is to block.
    fn under(&self, what: &What) -> Option<Inquiry> {
        let What::Edit(Edit::Add(Addition { list: List::Block, prefixes, .. })) = what else { return None };
        let wide: Vec<_> = prefixes.iter().copied().filter(under::is_wide).take(under::PREFIXES_MAX).collect();
        if wide.is_empty() {
            return None;
        }
        let inquiry = self.inquiry(wide);
        inquiry.inspect_err(|error| warn!("what lies under blocked prefixes is not known: {error}")).ok()
    }

    /// Goes on with the change under way.
    pub(super) async fn advance(&mut self, step: Step, network: &Network) {
        match step {
            Step::Read(Ok(None)) => self.end_change(),
            Step::Read(Ok(Some(candidate))) if candidate.generation => {
                if let Err(error) = self.compile(candidate) {
                    self.conclude(Err(error));
                }
            }
            Step::Read(Ok(Some(candidate))) => self.apply(candidate),
            Step::Read(Err(error)) => self.conclude(Err(error)),
            Step::Compiled(compiled) => {
                if let Err(error) = self.enforce(compiled, network).await {
                    self.conclude(Err(error));
                }
            }
            Step::Followed(mut done, followed) => {
                done.warnings = self.warnings.clone();
                if let Err(error) = followed {
                    self.warnings.push(format!("not everything follows the last change: {error:#}"));
                    done.change_warnings.push(format!("not everything follows this change: {error:#}"));
                }
                self.conclude(Ok(done));
            }
            Step::Applied(next, applied) => {
                if applied.is_ok() {
                    self.put_in_force(next);
                }
                self.conclude(applied);
            }
            Step::Noted(answer, outcome) => {
                answer.give(outcome, self.generation);
                self.end_change();
            }
        }
    }

    /// Brings a change that may already be in force to its end; others are not begun any more.
    pub(super) async fn end_changes(&mut self, network: &Network) {
        self.changes.give_up_waiting();
        while self.generations.is_none() || self.changes.is_enforced() {
            let step = self.changes.step().await;
            self.advance(step, network).await;
        }
    }

    fn end_change(&mut self) {
        self.changes.end();
        self.begin_change();
    }

    /// Has a generation made of a candidate, and lets in and keeps out for a time who will be by then as well as who is now.
    fn compile(&mut self, mut candidate: Candidate) -> anyhow::Result<()> {
        let mut given = Vec::new();
        candidate.next = candidate.next.numbered(|policy| {
            given = self.roster.assign(&mut policy.services)?;
            anyhow::Ok(())
        })?;
        let mut generations = self.generations.take().expect("one change is under way at a time");
        let (in_force, timed) = (self.in_force.clone(), self.timed.clone());
        let compile = spawn_blocking(move || {
            let result = prepare(&mut generations, &timed, &in_force, &candidate.next);
            Step::Compiled(Compiled { candidate, given, generations, result })
        });
        // Without the tables there is no policy to go on with; what is in force stays.
        self.changes.go_on(false, async { compile.await.expect("compiling a policy does not panic") });
        Ok(())
    }

    /// Switches to a candidate's generation, and has everything follow that stands beside generations.
    async fn enforce(&mut self, compiled: Compiled, network: &Network) -> anyhow::Result<()> {
        let Compiled { mut candidate, given, mut generations, result } = compiled;
        let switched = match result {
            Ok(prepared) => self.switch(&mut generations, prepared, &mut candidate, given, network).await,
            Err(error) => Err(error),
        };
        self.generations = Some(generations);
        let generation = switched?;

        let Candidate { next, staged, lists, changes, ended, warnings, change_warnings, outputs, .. } = candidate;
        let before = self.put_in_force(next);
        let generation_before = std::mem::replace(&mut self.generation, generation);
        self.warnings = warnings;
        self.warnings.extend(self.guarding.share_as(&self.in_force.policy).err());
        if let Err(error) = self.following.end(&self.in_force.policy) {
            self.warnings.push(format!("connections are counted for nothing: {:#}", anyhow::Error::from(error)));
        }
        if let Some(generations) = &mut self.generations {
            generations.free_retired();
        }
        // By now nothing is counted under numbers of the former policy alone.
        self.roster.settle(number_bits(&self.in_force.policy.services));
        let other_interfaces = before.policy.interfaces != self.in_force.policy.interfaces;
        if other_interfaces {
            self.release(network).await;
        }
        // What was blocked before is told where the former policy wanted it, and by the names of its interfaces.
        if (other_interfaces || outputs.is_some())
            && let Err(error) = self.blocks.tell_all(&self.flusher).await
        {
            warn!("{error:#}");
        }
        if let Some(outputs) = outputs {
            self.blocks.redirect(outputs);
        }
        self.look(network).await;
        let done = Done { generation_before, generation, lists, changes, ended, warnings: Vec::new(), change_warnings };
        self.follow(before, staged, done);
        Ok(())
    }

    /// Has everything follow a switch that was just made; the answer waits for it.
    fn follow(&mut self, before: InForce, staged: Option<StagedEdit>, done: Done) {
        let switch = Switch::new(before, self.in_force.clone(), self.guarding.exits().indices());
        let (timed, prefixes) = (self.timed.clone(), self.in_force.timed_prefixes());
        let follow_with_flows = self.flows.follow(switch);
        let close_cut = self.connections.follow(self.in_force.clone(), self.guarding.indices());
        let enforcer = Arc::clone(self.banning.enforcer());
        let follow = spawn_blocking(move || {
            let changed = timed.set(&prefixes, &Clock::now()).map(drop).context("bans and grants");
            let staged = staged.as_ref();
            let lifted = lift(staged, &enforcer);
            let (closed, left) = and_warning(close_cut());
            (in_all([changed, lifted, closed, follow_with_flows(), keep(staged)]), left)
        });
        self.changes.go_on(true, async {
            let mut done = done;
            let (followed, left) = follow.await.unwrap_or_else(|error| (Err(anyhow!("following: {error}")), None));
            done.change_warnings.extend(left);
            Step::Followed(done, followed)
        });
    }

    /// Changes bans and grants, and leaves the generation as it is.
    fn apply(&mut self, candidate: Candidate) {
        let Candidate { next, mut staged, lists, changes, ended, warnings, change_warnings, .. } = candidate;
        let generation = self.generation;
        let done = Done { generation_before: generation, generation, lists, changes, ended, warnings, change_warnings };
        let (timed, before, after) = (self.timed.clone(), self.in_force.clone(), next.clone());
        let switch = Switch::new(before.clone(), next.clone(), self.guarding.exits().indices());
        let follow_with_flows = self.flows.follow(switch);
        let close_cut = self.connections.follow(next.clone(), self.guarding.indices());
        let enforcer = Arc::clone(self.banning.enforcer());
        let apply = spawn_blocking(move || {
            timed.set(&after.timed_prefixes(), &Clock::now()).context("bans and grants")?;
            if let Some(staged) = &mut staged
                && let Err(error) = staged.commit()
            {
                timed.set(&before.timed_prefixes(), &Clock::now()).context("bans and grants, as they were")?;
                return Err(anyhow::Error::from(error).context(NOT_KEPT));
            }
            let staged = staged.as_ref();
            let lifted = lift(staged, &enforcer);
            let (closed, left) = and_warning(close_cut());
            let followed = in_all([lifted, closed, follow_with_flows(), keep(staged)]);
            let trouble = followed.err().map(|error| format!("not everything follows this change: {error:#}"));
            Ok(Done { change_warnings: done.change_warnings.into_iter().chain(left).chain(trouble).collect(), ..done })
        });
        self.changes.go_on(true, async {
            Step::Applied(next, apply.await.unwrap_or_else(|error| Err(anyhow!("changing bans and grants: {error}"))))
        });
    }

    /// Makes this what is in force; returns what was.
    fn put_in_force(&mut self, next: InForce) -> InForce {
        self.watch.expect(&next.files);
        std::mem::replace(&mut self.in_force, next)
    }

    /// Switches to a generation once interfaces and numbers are ready for it and files hold what makes it; if that can't be,
    /// everything stays as it was.
    async fn switch(
        &mut self,
        generations: &mut Generations,
        prepared: Prepared,
        candidate: &mut Candidate,
        given: Vec<Given>,
        network: &Network,
    ) -> anyhow::Result<u64> {
        let ready = self.make_ready(&candidate.next.policy, given, network).await;
        let kept = ready.and_then(|()| {
            let commit = candidate.staged.as_mut().map_or(Ok(()), StagedEdit::commit);
            commit.context(NOT_KEPT)
        });
        match kept {
            Ok(()) => Ok(generations.commit(prepared)),
            Err(error) => {
                generations.discard(prepared);
                if let Err(error) = self.timed.set(&self.in_force.timed_prefixes(), &Clock::now()) {
                    error!("bans and grants are not all as they were: {:#}", anyhow::Error::from(error));
                }
                if let Err(error) = self.following.begin(&self.in_force.policy) {
                    error!("{:#}", anyhow::Error::from(error));
                }
                // Brings own addresses back to what the policy in force wants, too.
                self.look(network).await;
                Err(error)
            }
        }
    }

    /// Makes interfaces and numbers ready for a policy whose generation is: the one in force judges what new interfaces
    /// bring for an instant only.
    async fn make_ready(&mut self, policy: &Policy, given: Vec<Given>, network: &Network) -> anyhow::Result<()> {
        roster::tell_gone(&given, &self.flusher, &mut self.blocks).await?;
        // What the policy in force names is attached by now, so that nothing of it is let go again where this fails.
        self.look(network).await;
        let host = look_at(network).await?;
        // One that is away, and was named before, is no reason to keep, say, an attacker out of `deny`.
        let may_be_missing =
            |name: &str| self.changes.startup().wait || launch::is_named(&self.in_force.policy.interfaces, name);
        let selection = Selection::new(&policy.interfaces, &host.interfaces).check(may_be_missing)?;
        // What answers is known before anything new is asked whether it is one.
        let opened = self.guarding.open_exits(&selection.present)?;
        if opened || OwnFlows::must_fill(&self.in_force.policy, policy) {
            self.flows.fill(policy, self.guarding.exits().indices()).await?;
        }
        let attached = self.guarding.extend(&self.in_force.policy, policy, &selection.present)?;
        let enrolled = self.roster.enroll(given, &policy.services, &mut self.counters).map_err(anyhow::Error::from);
        let enrolled = enrolled.and_then(|()| Ok(self.following.begin(policy)?));
        if enrolled.is_err() {
            self.guarding.withdraw(&attached);
            self.roster.settle(number_bits(&self.in_force.policy.services));
        }
        self.blocks.names.services = self.roster.names();
        self.blocks.names.interfaces = self.guarding.names();
        enrolled
    }

    /// Lets go of interfaces that the policy in force does not name.
    async fn release(&mut self, network: &Network) {
        let released = match network.interfaces().await {
            Ok(all) => self
                .guarding
                .release(&Selection::new(&self.in_force.policy.interfaces, &all))
                .map_err(anyhow::Error::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = released {
            error!("interfaces that the policy does not name may stay guarded: {error:#}");
        }
    }
}

/// Makes a generation of what is to come into force, and lets in and keeps out for a time who is by then as well as who is
/// now, so that nobody is shut out for a moment who only goes from one list to another.
fn prepare(
    generations: &mut Generations,
    timed: &TimedTables,
    in_force: &InForce,
    next: &InForce,
) -> anyhow::Result<Prepared> {
    let prepared = generations.prepare(&next.policy, Some(&in_force.policy))?;
    let both = [in_force.timed_prefixes(), next.timed_prefixes()].concat();
    if let Err(error) = timed.set(&both, &Clock::now()) {
        generations.discard(prepared);
        return Err(error.into());
    }
    Ok(prepared)
}

/// Lifts the bans by the machine that an edit names.
fn lift(staged: Option<&StagedEdit>, enforcer: &Enforcer) -> anyhow::Result<()> {
    staged.map_or(Ok(()), |staged| enforcer.lift(&staged.lifted))
}

/// Makes sure that what was edited stays on disk.
fn keep(staged: Option<&StagedEdit>) -> anyhow::Result<()> {
    staged.map_or(Ok(()), StagedEdit::sync).context(NOT_KEPT)
}

/// Tells what became of a step from what the operator should know of it.
fn and_warning(step: anyhow::Result<Option<String>>) -> (anyhow::Result<()>, Option<String>) {
    match step {
        Ok(warning) => (Ok(()), warning),
        Err(error) => (Err(error), None),
    }
}

/// Returns what is the matter with steps of which each was done whatever became of the others.
fn in_all<const N: usize>(steps: [anyhow::Result<()>; N]) -> anyhow::Result<()> {
    let troubles: Vec<String> = steps.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    if troubles.is_empty() { Ok(()) } else { Err(anyhow!(troubles.join("; "))) }
}
