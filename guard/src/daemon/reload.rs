//! Reloads, one after the other: a policy is read and installed on a blocking thread while the daemon's loop goes on.

use std::{collections::VecDeque, future::pending, sync::Arc};

use anyhow::anyhow;
use futures_util::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use tokio::{sync::oneshot, task::spawn_blocking};
use tracing::{error, info, warn};

use super::{
    Daemon,
    candidate::{Candidate, Startup},
    flows::{OwnFlows, Switch},
    look_at, roster,
};
use crate::{
    export::LogFile,
    instance::Instance,
    kernel::{Generations, InstallError, Prepared},
    launch::{self, Selection},
    network::Network,
    policy::{Given, Policy, number_bits},
    reload::{Enforced, LastReload, Outcome, Refused},
};

/// A reload that somebody asks for.
pub(super) struct Request {
    /// Whether lists may lose most of their entries.
    pub(super) force: bool,
    /// Who waits for the outcome; nobody after a signal.
    pub(super) answer: Option<oneshot::Sender<Outcome>>,
}

impl Request {
    fn is_signal(&self) -> bool {
        self.answer.is_none()
    }

    /// Tells whether nobody waits for the outcome any more.
    fn is_given_up(&self) -> bool {
        self.answer.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

/// The reload under way, and those that wait their turn.
pub(super) struct Reloads {
    startup: Arc<Startup>,
    /// One a connection to the control socket, and a signal.
    waiting: VecDeque<Request>,
    under_way: Option<UnderWay>,
    pub(super) last: Option<LastReload>,
}

struct UnderWay {
    request: Request,
    step: BoxFuture<'static, Step>,
    /// Whether its policy is in force.
    is_enforced: bool,
}

/// What a blocking thread has done for the reload under way.
#[expect(clippy::large_enum_variant, reason = "there is one, moved twice a reload")]
pub(super) enum Step {
    Read(anyhow::Result<Candidate>),
    Compiled(Compiled),
    /// The policy is in force, and flows follow it; or why they do not.
    Followed(Enforced, anyhow::Result<()>),
}

/// A candidate of which a generation was to be made.
pub(super) struct Compiled {
    candidate: Candidate,
    /// The numbers that its services have and had not before.
    given: Vec<Given>,
    generations: Generations,
    result: Result<Prepared, InstallError>,
}

impl Reloads {
    pub(super) fn new(startup: Startup) -> Self {
        Self { startup: Arc::new(startup), waiting: VecDeque::new(), under_way: None, last: None }
    }

    pub(super) fn instance(&self) -> &Instance {
        &self.startup.instance
    }

    /// Waits for the next step of the reload under way; without one, for ever. Nothing is lost if the wait is given up.
    pub(super) async fn step(&mut self) -> Step {
        match &mut self.under_way {
            Some(under_way) => (&mut under_way.step).await,
            None => pending().await,
        }
    }

    /// Tells whether the policy of the reload under way is in force, and something still follows it.
    fn is_enforced(&self) -> bool {
        self.under_way.as_ref().is_some_and(|under_way| under_way.is_enforced)
    }

    /// Has a request wait its turn. A signal that comes while another waits adds nothing: that one reads what is there by
    /// then.
    fn push(&mut self, request: Request) {
        self.waiting.retain(|waiting| !waiting.is_given_up());
        if !request.is_signal() || !self.waiting.iter().any(Request::is_signal) {
            self.waiting.push_back(request);
        }
    }

    /// Begins with the next that waits, if none is under way. `log` is the file that lines are written to.
    fn begin(&mut self, in_force: &Arc<Policy>, log: Option<&LogFile>) {
        if self.under_way.is_some() {
            return;
        }
        self.waiting.retain(|waiting| !waiting.is_given_up());
        let Some(request) = self.waiting.pop_front() else { return };
        let (startup, in_force, force) = (Arc::clone(&self.startup), Arc::clone(in_force), request.force);
        let log = log.cloned();
        let read = spawn_blocking(move || Candidate::read(&startup, &in_force, log.as_ref(), force));
        let step =
            async { Step::Read(read.await.unwrap_or_else(|error| Err(anyhow!("reading the configuration: {error}")))) };
        self.under_way = Some(UnderWay { request, step: step.boxed(), is_enforced: false });
    }
}

impl Daemon {
    /// Takes a request.
    pub(super) fn request_reload(&mut self, request: Request) {
        self.reloads.push(request);
        self.begin_reload();
    }

    fn begin_reload(&mut self) {
        self.reloads.begin(&self.policy, self.blocks.log_file());
    }

    /// Goes on with the reload under way.
    pub(super) async fn advance(&mut self, step: Step, network: &Network) {
        let outcome = match step {
            Step::Read(candidate) => match candidate.and_then(|candidate| self.compile(candidate)) {
                Ok(()) => return,
                Err(error) => Err(error),
            },
            Step::Compiled(compiled) => match self.enforce(compiled, network).await {
                Ok((enforced, switch)) => return self.follow_with_flows(enforced, switch),
                Err(error) => Err(error),
            },
            Step::Followed(enforced, followed) => {
                if let Err(error) = followed {
                    self.warnings.push(format!("flows of sources that were cut may not all be forgotten: {error:#}"));
                }
                Ok(Enforced { warnings: self.warnings.clone(), ..enforced })
            }
        };
        self.conclude(outcome);
        self.begin_reload();
    }

    /// Brings a reload that may already have switched to its end; others are not begun any more.
    pub(super) async fn end_reloads(&mut self, network: &Network) {
        self.reloads.waiting.clear();
        while self.generations.is_none() || self.reloads.is_enforced() {
            let step = self.reloads.step().await;
            self.advance(step, network).await;
        }
    }

    /// Has a generation made of a candidate.
    fn compile(&mut self, mut candidate: Candidate) -> anyhow::Result<()> {
        let given = self.roster.assign(&mut candidate.policy.services)?;
        let mut generations = self.generations.take().expect("one reload is under way at a time");
        let in_force = Arc::clone(&self.policy);
        let compile = spawn_blocking(move || {
            let result = generations.prepare(&candidate.policy, Some(&in_force));
            Step::Compiled(Compiled { candidate, given, generations, result })
        });
        if let Some(under_way) = &mut self.reloads.under_way {
            // Without the tables there is no policy to go on with; what is in force stays.
            under_way.step = async { compile.await.expect("compiling a policy does not panic") }.boxed();
        }
        Ok(())
    }

    /// Switches to a candidate's generation, and follows with everything that stands beside generations.
    async fn enforce(&mut self, compiled: Compiled, network: &Network) -> anyhow::Result<(Enforced, Switch)> {
        let Compiled { candidate, given, mut generations, result } = compiled;
        let generation = match result {
            Ok(prepared) => self.switch(&mut generations, prepared, &candidate.policy, given, network).await,
            Err(error) => Err(error.into()),
        };
        self.generations = Some(generations);
        let generation = generation?;

        let Candidate { policy, mut warnings, changes, outputs } = candidate;
        let generation_before = std::mem::replace(&mut self.generation, generation);
        let before = std::mem::replace(&mut self.policy, Arc::new(policy));
        warnings.extend(self.guarding.share_as(&self.policy).err());
        self.warnings = warnings;
        if let Some(generations) = &mut self.generations {
            generations.free_retired();
        }
        // By now nothing is counted under numbers of the former policy alone.
        self.roster.settle(number_bits(&self.policy.services));
        let other_interfaces = before.interfaces != self.policy.interfaces;
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
        let switch = Switch::new(before, Arc::clone(&self.policy), &changes, self.guarding.exits().indices());
        let warnings = self.warnings.clone();
        Ok((Enforced { generation_before, generation, lists: changes, warnings }, switch))
    }

    /// Has flows follow a switch; the answer waits for them.
    fn follow_with_flows(&mut self, enforced: Enforced, switch: Switch) {
        let followed = self.flows.follow(switch);
        if let Some(under_way) = &mut self.reloads.under_way {
            under_way.is_enforced = true;
            under_way.step = async {
                Step::Followed(enforced, followed.await.unwrap_or_else(|error| Err(anyhow!("following: {error}"))))
            }
            .boxed();
        }
    }

    /// Switches to a generation once interfaces and numbers are ready for it; if they can't be, everything stays as it was.
    async fn switch(
        &mut self,
        generations: &mut Generations,
        prepared: Prepared,
        policy: &Policy,
        given: Vec<Given>,
        network: &Network,
    ) -> anyhow::Result<u64> {
        match self.make_ready(policy, given, network).await {
            Ok(()) => Ok(generations.commit(prepared)),
            Err(error) => {
                generations.discard(prepared);
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
        let may_be_missing = |name: &str| self.reloads.startup.wait || launch::is_named(&self.policy.interfaces, name);
        let selection = Selection::new(&policy.interfaces, &host.interfaces).check(may_be_missing)?;
        // What answers is known before anything new is asked whether it is one.
        let opened = self.guarding.open_exits(&selection.present)?;
        if opened || OwnFlows::must_fill(&self.policy, policy) {
            self.flows.fill(policy, self.guarding.exits().indices()).await?;
        }
        let attached = self.guarding.extend(&self.policy, policy, &selection.present)?;
        let enrolled = self.roster.enroll(given, &policy.services, &mut self.counters);
        if enrolled.is_err() {
            self.guarding.withdraw(&attached);
            self.roster.settle(number_bits(&self.policy.services));
        }
        self.blocks.names.services = self.roster.names();
        self.blocks.names.interfaces = self.guarding.names();
        Ok(enrolled?)
    }

    /// Lets go of interfaces that the policy in force does not name.
    async fn release(&mut self, network: &Network) {
        let released = match network.interfaces().await {
            Ok(all) => {
                self.guarding.release(&Selection::new(&self.policy.interfaces, &all)).map_err(anyhow::Error::from)
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = released {
            error!("interfaces that the policy does not name may stay guarded: {error:#}");
        }
    }

    /// Tells everybody what the reload under way came to.
    fn conclude(&mut self, outcome: anyhow::Result<Enforced>) {
        let outcome = match outcome {
            Ok(enforced) => {
                info!("reloaded: generation {} in place of {}", enforced.generation, enforced.generation_before);
                enforced.lists.iter().filter(|change| !change.is_empty()).for_each(|change| info!("{change}"));
                enforced.warnings.iter().for_each(|warning| warn!("{warning}"));
                Outcome::Enforced(enforced)
            }
            Err(error) => {
                let refused = Refused::new(&error, self.generation);
                error!("reload refused, generation {} stays in force", self.generation);
                refused.faults.iter().for_each(|fault| error!("{fault}"));
                Outcome::Refused(refused)
            }
        };
        let (word, faults) = match &outcome {
            Outcome::Enforced(_) => ("ok", Vec::new()),
            Outcome::Refused(refused) => ("refused", refused.faults.clone()),
        };
        self.reloads.last = Some(LastReload { time: Timestamp::now().to_string(), outcome: word.to_owned(), faults });
        if let Some(UnderWay { request: Request { answer: Some(answer), .. }, .. }) = self.reloads.under_way.take() {
            // The client may have gone.
            let _ = answer.send(outcome);
        }
    }
}
