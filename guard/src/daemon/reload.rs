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
};
use crate::{
    instance::Instance,
    kernel::{Generations, InstallError},
    launch::Selection,
    network::Network,
    policy::Policy,
    reload::{Enforced, LastReload, Outcome, Refused},
};

/// A reload that somebody asks for.
pub(super) struct Request {
    /// Whether lists may lose most of their entries.
    pub(super) force: bool,
    /// Who waits for the outcome; nobody after a signal.
    pub(super) answer: Option<oneshot::Sender<Outcome>>,
}

/// The reload under way, and those that wait their turn.
pub(super) struct Reloads {
    startup: Arc<Startup>,
    waiting: VecDeque<Request>,
    under_way: Option<UnderWay>,
    pub(super) last: Option<LastReload>,
}

struct UnderWay {
    request: Request,
    step: BoxFuture<'static, Step>,
}

/// What a blocking thread has done for the reload under way.
#[expect(clippy::large_enum_variant, reason = "there is one, moved twice a reload")]
pub(super) enum Step {
    Read(anyhow::Result<Candidate>),
    Installed(Installed),
}

/// A candidate that was to become the generation in force.
pub(super) struct Installed {
    candidate: Candidate,
    /// Interfaces to which the program was attached for it.
    attached: Vec<u32>,
    generations: Generations,
    result: Result<u64, InstallError>,
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

    /// Begins with the next that waits, if none is under way.
    fn begin(&mut self, in_force: &Arc<Policy>) {
        if self.under_way.is_some() {
            return;
        }
        let Some(request) = self.waiting.pop_front() else { return };
        let (startup, in_force, force) = (Arc::clone(&self.startup), Arc::clone(in_force), request.force);
        let read = spawn_blocking(move || Candidate::read(&startup, &in_force, force));
        let step =
            async { Step::Read(read.await.unwrap_or_else(|error| Err(anyhow!("reading the configuration: {error}")))) };
        self.under_way = Some(UnderWay { request, step: step.boxed() });
    }
}

impl Daemon {
    /// Takes a request. A signal that comes while another waits its turn adds nothing: that one reads what is there by then.
    pub(super) fn request_reload(&mut self, request: Request) {
        let is_signal = |request: &Request| request.answer.is_none();
        if !is_signal(&request) || !self.reloads.waiting.iter().any(is_signal) {
            self.reloads.waiting.push_back(request);
        }
        self.reloads.begin(&self.policy);
    }

    /// Goes on with the reload under way.
    pub(super) async fn advance(&mut self, step: Step, network: &Network) {
        let outcome = match step {
            Step::Read(candidate) => match self.install(candidate, network).await {
                Ok(()) => return,
                Err(error) => Err(error),
            },
            Step::Installed(installed) => self.switch(installed, network).await,
        };
        self.conclude(outcome);
        self.reloads.begin(&self.policy);
    }

    /// Brings a reload that may already have switched to its end; others are not begun any more.
    pub(super) async fn end_reloads(&mut self, network: &Network) {
        self.reloads.waiting.clear();
        while self.generations.is_none() {
            let step = self.reloads.step().await;
            self.advance(step, network).await;
        }
    }

    /// Makes everything ready for a candidate, and has it installed.
    async fn install(&mut self, candidate: anyhow::Result<Candidate>, network: &Network) -> anyhow::Result<()> {
        let mut candidate = candidate?;
        let interfaces = network.interfaces().await?;
        let selection = Selection::new(&candidate.policy.interfaces, &interfaces).check(self.reloads.startup.wait)?;
        let services = &mut candidate.policy.services;
        self.roster.enroll(services, &mut self.counters, &self.flusher, &mut self.blocks).await?;
        let attached = self.guarding.extend(&self.policy, &selection.present)?;
        self.look(network).await;

        let mut generations = self.generations.take().expect("one reload is under way at a time");
        let in_force = Arc::clone(&self.policy);
        let install = spawn_blocking(move || {
            let result = generations.install(&candidate.policy, Some(&in_force));
            Step::Installed(Installed { candidate, attached, generations, result })
        });
        if let Some(under_way) = &mut self.reloads.under_way {
            // Without the tables there is no policy to go on with; what is in force stays.
            under_way.step = async { install.await.expect("compiling a policy does not panic") }.boxed();
        }
        Ok(())
    }

    /// Follows the switch to a new generation with everything that stands beside generations; or undoes what was made
    /// ready for one that failed.
    async fn switch(&mut self, installed: Installed, network: &Network) -> anyhow::Result<Enforced> {
        let Installed { candidate, attached, generations, result } = installed;
        self.generations = Some(generations);
        let generation = match result {
            Ok(generation) => generation,
            Err(error) => {
                self.guarding.withdraw(&attached);
                self.look(network).await;
                self.roster.settle(&self.policy.services);
                return Err(error.into());
            }
        };
        let Candidate { policy, warnings, changes, outputs } = candidate;
        let generation_before = std::mem::replace(&mut self.generation, generation);
        let before = std::mem::replace(&mut self.policy, Arc::new(policy));
        self.warnings = warnings;
        self.roster.settle(&self.policy.services);
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
        Ok(Enforced { generation_before, generation, lists: changes, warnings: self.warnings.clone() })
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
