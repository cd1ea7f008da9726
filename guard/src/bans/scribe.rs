//! The journal's thread: whoever bans waits for no disk.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use tracing::{error, info};

use super::{Bans, Journal, Line};

/// How often the disk is made to keep what was written.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_secs(10);

/// What may wait for a disk that is slow.
const WAITING_MAX: usize = 1_024;

/// How long is waited for a disk that is slow.
const PATIENCE: Duration = Duration::from_secs(3);

/// The end of the pipe that lines are put into.
pub(crate) struct Scribe {
    messages: SyncSender<Message>,
    state: Arc<State>,
    finished: oneshot::Receiver<()>,
}

#[derive(Default)]
struct State {
    /// Why the journal lacks something.
    trouble: Mutex<Option<String>>,
    /// Whether something was not handed over.
    lacks_some: AtomicBool,
}

enum Message {
    Append(Vec<Line>),
    /// The wall clock says something else than what was written.
    Rewrite,
    /// What was handed over before is to stay; it is told once it does.
    Keep(SyncSender<()>),
}

impl Scribe {
    pub(crate) fn start(journal: Journal, bans: Bans) -> Self {
        let (messages, waiting) = mpsc::sync_channel(WAITING_MAX);
        let (done, finished) = oneshot::channel();
        let state = Arc::<State>::default();
        let writing = Writing { journal, bans, state: Arc::clone(&state), unsynced_since: None, again_at: None };
        thread::spawn(move || {
            writing.run(&waiting);
            // The one who waits may have run out of patience.
            let _ = done.send(());
        });
        Self { messages, state, finished }
    }

    /// Hands lines over.
    pub(crate) fn append(&self, lines: Vec<Line>) {
        if !lines.is_empty() {
            self.send(Message::Append(lines));
        }
    }

    /// Has all times be written anew, by the wall clock as it is.
    pub(crate) fn rewrite(&self) {
        self.send(Message::Rewrite);
    }

    /// Waits until what was handed over is on the disk.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) fn keep(&self) -> Result<(), String> {
        let (told, kept) = mpsc::sync_channel(1);
        self.send(Message::Keep(told));
        let kept = kept.recv_timeout(PATIENCE).map_err(|_| "the disk does not keep up".to_owned());
        self.trouble().map_or(kept, Err)
    }

    /// Returns why the journal lacks something, if it does.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.state.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until all is written, unless the disk takes too long.
    pub(crate) async fn finish(self) {
        drop(self.messages);
        if tokio::time::timeout(PATIENCE, self.finished).await.is_err() {
            error!("the journal of bans may lack the last of them: the disk does not keep up");
        }
    }

    fn send(&self, message: Message) {
        if let Err(TrySendError::Full(_)) = self.messages.try_send(message) {
            self.state.lacks_some.store(true, Ordering::Relaxed);
        }
    }
}

struct Writing {
    journal: Journal,
    bans: Bans,
    state: Arc<State>,
    /// Since when something is written that the disk may not have.
    unsynced_since: Option<Instant>,
    /// When it is tried again, after a failure.
    again_at: Option<Instant>,
}

impl Writing {
    fn run(mut self, messages: &Receiver<Message>) {
        if !self.journal.is_empty() {
            self.rewrite();
        }
        loop {
            let message = match self.due() {
                Some(due) => messages.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => messages.recv().map_err(RecvTimeoutError::from),
            };
            match message {
                Ok(Message::Append(lines)) => self.append(&lines),
                Ok(Message::Rewrite) => self.rewrite(),
                Ok(Message::Keep(told)) => {
                    self.sync();
                    // The one who waits may have run out of patience.
                    let _ = told.try_send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.state.lacks_some.swap(false, Ordering::Relaxed) {
                self.rewrite();
            }
            if self.due().is_some_and(|due| due <= Instant::now()) {
                if self.again_at.is_some() { self.rewrite() } else { self.sync() }
            }
        }
        self.sync();
    }

    fn due(&self) -> Option<Instant> {
        self.again_at.or(self.unsynced_since.map(|since| since + SYNC_INTERVAL))
    }

    fn append(&mut self, lines: &[Line]) {
        // What is tried again then has these as well.
        if self.again_at.is_none() {
            let appended = self.journal.append(lines, &self.bans);
            self.unsynced_since.get_or_insert_with(Instant::now);
            self.note(appended);
        }
    }

    fn rewrite(&mut self) {
        let rewritten = self.journal.rewrite(&self.bans);
        self.unsynced_since = None;
        self.note(rewritten);
    }

    fn sync(&mut self) {
        if self.unsynced_since.take().is_some() {
            let synced = self.journal.sync(&self.bans);
            self.note(synced);
        }
    }

    fn note(&mut self, outcome: io::Result<()>) {
        let mut trouble = self.state.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => {
                if trouble.take().is_some() {
                    info!("the journal of bans has all of them again");
                }
                self.again_at = None;
            }
            Err(error) => {
                let why = error.to_string();
                if trouble.replace(why.clone()).is_none() {
                    error!("the journal of bans lacks some, which a restart after a reboot would forget: {why}");
                }
                self.again_at = Some(Instant::now() + PAUSE);
            }
        }
    }
}
