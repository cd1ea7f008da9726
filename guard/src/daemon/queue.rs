//! What the daemon is asked to change, by whom: one after the other, whoever asks.

use std::{collections::VecDeque, future::pending, sync::Arc, time::Instant};

use futures_util::{FutureExt as _, future::BoxFuture};
use nix::unistd::Pid;

use super::{candidate::Startup, changes::Step, outcome::Answer, upkeep::Upkeep};
use crate::{
    control::LockdownRequest,
    instance::Instance,
    live::{Edit, Who},
    reload::LastReload,
};

/// A change that somebody or something asks for.
pub(super) struct Request {
    pub(super) what: What,
    /// Whether what the operator may not have meant is done all the same.
    pub(super) force: bool,
    pub(super) by: By,
    pub(super) answer: Answer,
}

/// What is to be changed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// Everything that is configured is read again.
    Reload,
    /// Files that hold data are read again: they are others.
    Files,
    Edit(Edit),
    Lockdown(LockdownRequest),
    /// What has ended goes.
    Ended,
    /// So it does, and the rest ends by the clocks as they are.
    Clocks,
}

impl What {
    /// Tells whether nobody wants it: the time brings it.
    pub(super) fn is_upkeep(&self) -> bool {
        matches!(self, Self::Ended | Self::Clocks)
    }
}

/// Who or what asks for a change.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum By {
    Client(Who),
    Signal,
    /// The files are others.
    Files,
    /// The time.
    Clock,
}

impl By {
    /// The process that asks, if one does that can be told.
    pub(super) fn who(&self) -> Option<&Who> {
        match self {
            Self::Client(who) => Some(who),
            Self::Signal | Self::Files | Self::Clock => None,
        }
    }

    /// Where to look for the login session that asks.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.who().map(|who| Pid::from_raw(who.pid))
    }
}

/// The change under way, and those that wait their turn.
pub(super) struct Changes {
    startup: Arc<Startup>,
    /// One a connection to the control socket, and one of each kind that nobody waits for.
    waiting: VecDeque<Request>,
    under_way: Option<UnderWay>,
    pub(super) upkeep: Upkeep,
    pub(super) last_reload: Option<LastReload>,
}

struct UnderWay {
    /// Absent once it is concluded.
    request: Option<Request>,
    begun: Instant,
    step: BoxFuture<'static, Step>,
    /// Whether it can't be given up any more: it is in force, or is being put there.
    is_enforced: bool,
}

impl Changes {
    pub(super) fn new(startup: Startup, upkeep: Upkeep) -> Self {
        Self { startup: Arc::new(startup), waiting: VecDeque::new(), under_way: None, upkeep, last_reload: None }
    }

    pub(super) fn startup(&self) -> &Arc<Startup> {
        &self.startup
    }

    pub(super) fn instance(&self) -> &Instance {
        &self.startup.instance
    }

    /// Waits for the next step of the change under way; without one, for ever. Nothing is lost if the wait is given up.
    pub(super) async fn step(&mut self) -> Step {
        match &mut self.under_way {
            Some(under_way) => (&mut under_way.step).await,
            None => pending().await,
        }
    }

    /// Tells whether what has ended is being taken out.
    pub(super) fn is_upkeep_under_way(&self) -> bool {
        let request = self.under_way.as_ref().and_then(|under_way| under_way.request.as_ref());
        request.is_some_and(|request| request.what.is_upkeep())
    }

    /// Tells whether the change under way must be brought to its end.
    pub(super) fn is_enforced(&self) -> bool {
        self.under_way.as_ref().is_some_and(|under_way| under_way.is_enforced)
    }

    /// Has a request wait its turn. One that nobody waits for adds nothing to another of its kind that waits: that one finds
    /// what is there by then.
    pub(super) fn push(&mut self, request: Request) {
        self.waiting.retain(|waiting| !waiting.answer.is_given_up());
        let is_same = |waiting: &Request| {
            waiting.answer.is_nobody() && (&waiting.what, &waiting.by) == (&request.what, &request.by)
        };
        if !request.answer.is_nobody() || !self.waiting.iter().any(is_same) {
            self.waiting.push_back(request);
        }
    }

    /// Takes the next that waits, if none is under way.
    pub(super) fn next(&mut self) -> Option<Request> {
        if self.under_way.is_some() {
            return None;
        }
        self.waiting.retain(|waiting| !waiting.answer.is_given_up());
        self.waiting.pop_front()
    }

    /// Begins a change, of which none is under way.
    pub(super) fn begin(&mut self, request: Request, step: impl Future<Output = Step> + Send + 'static) {
        let (request, begun) = (Some(request), Instant::now());
        self.under_way = Some(UnderWay { request, begun, step: step.boxed(), is_enforced: false });
    }

    /// The change under way is done.
    pub(super) fn end(&mut self) {
        self.under_way = None;
    }

    /// Begins none of those any more that wait.
    pub(super) fn give_up_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Takes what the change under way was asked for by, to conclude it.
    pub(super) fn take_request(&mut self) -> Option<Request> {
        let UnderWay { request, begun, .. } = self.under_way.as_mut()?;
        let request = request.take()?;
        if request.what.is_upkeep() {
            self.upkeep.rest(begun.elapsed());
        }
        Some(request)
    }

    /// Goes on with the change under way; from an enforced one there is no way back.
    pub(super) fn go_on(&mut self, is_enforced: bool, step: impl Future<Output = Step> + Send + 'static) {
        if let Some(under_way) = &mut self.under_way {
            under_way.is_enforced |= is_enforced;
            under_way.step = step.boxed();
        }
    }
}
