//! One connection: requests are read, put to the daemon, and answered, in turn.

use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Interest},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{Access, Peer, Question, crowd};
use crate::{
    control::{Answer, Failure, FailureKind, GROUP, LONG_REQUEST_MAX, Message, REQUEST_MAX, VERSION, request::Checked},
    edit::EditOutcome,
    listing::{Listing, Page},
    live::Who,
    policy::Readers,
    reload::Outcome,
    status::Status,
    under::Under,
};

/// How long a client may take over a request, and over reading its answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a client may take over a long request once it has its turn, and wait for that.
const LONG_PATIENCE: Duration = Duration::from_secs(30);

/// How long a client may take over reading a list, all pages together.
const LISTING_PATIENCE: Duration = Duration::from_secs(60);

/// The longest piece of a client's own text in an answer.
const MESSAGE_MAX: usize = 1000;

/// What all connections use.
pub(super) struct Shared {
    questions: mpsc::Sender<Question>,
    access: watch::Receiver<Access>,
    /// Held from reading to answering, so that one at a time takes memory.
    long_requests: Arc<Semaphore>,
    members: Share,
    others: Share,
}

/// What clients that may do the same have of the daemon's time and memory.
struct Share {
    /// How many questions wait for the daemon at once.
    questions: Semaphore,
    /// How long each waits before, in its turn.
    pace: Duration,
    /// How many lists are told at once.
    listings: Arc<Semaphore>,
}

/// A client.
pub(super) struct Client {
    peer: Peer,
    shared: Arc<Shared>,
    /// Whether it waits for an answer.
    waits: Arc<AtomicBool>,
}

/// What comes next from a client.
enum Received {
    /// Nothing more.
    End,
    Line(Vec<u8>, Option<OwnedSemaphorePermit>),
    /// No line: where the next one begins can't be told.
    Unread(Failure),
}

/// What a client may be permitted to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Ask,
    Change,
}

/// What the daemon tells a client.
enum Reply {
    Line(Told),
    /// What is told in pages, and the turn to do so.
    Pages(Listing, OwnedSemaphorePermit),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    Status(Box<Status>),
    Reload(Outcome),
    Edit(EditOutcome),
    Under(Under),
}

impl Shared {
    pub(super) fn new(questions: mpsc::Sender<Question>, access: watch::Receiver<Access>) -> Self {
        Self {
            questions,
            access,
            long_requests: Arc::new(Semaphore::new(1)),
            members: Share::new(crowd::MOST, Duration::ZERO, 4),
            // A question may cost the daemon some hundredth of a second.
            others: Share::new(1, Duration::from_millis(50), 2),
        }
    }

    pub(super) fn access(&self) -> Access {
        *self.access.borrow()
    }
}

impl Share {
    fn new(questions: usize, pace: Duration, listings: usize) -> Self {
        Self { questions: Semaphore::new(questions), pace, listings: Arc::new(Semaphore::new(listings)) }
    }
}

impl Client {
    pub(super) fn new(peer: Peer, shared: Arc<Shared>, waits: Arc<AtomicBool>) -> Self {
        Self { peer, shared, waits }
    }

    /// Answers requests until the connection ends, stalls, or a line is too long.
    pub(super) async fn serve(self, stream: UnixStream) -> io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        loop {
            // The turn is held until the answer is read.
            let (line, _turn) = match self.receive(&mut reader).await? {
                Received::End => return Ok(()),
                Received::Unread(failure) => return write(&mut writer, Err(failure)).await,
                Received::Line(line, turn) => (line, turn),
            };
            self.waits.store(true, Ordering::Relaxed);
            let reply = tokio::select! {
                reply = self.reply(line) => reply,
                // Nobody does for it what it does not wait for.
                () = gone(&mut reader, &writer) => return Ok(()),
            };
            let told = match reply {
                Ok(Reply::Pages(listing, turn)) => {
                    timeout(LISTING_PATIENCE, write_pages(&mut writer, listing, turn)).await??;
                    None
                }
                Ok(Reply::Line(told)) => Some(Ok(told)),
                Err(failure) => Some(Err(failure)),
            };
            self.waits.store(false, Ordering::Relaxed);
            if let Some(told) = told {
                write(&mut writer, told).await?;
            }
        }
    }

    /// Reads a request. A long one waits for its turn to be read to its end.
    async fn receive(&self, reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Received> {
        let mut line = Vec::new();
        timeout(PATIENCE, reader.take(REQUEST_MAX as u64).read_until(b'\n', &mut line)).await??;
        if line.is_empty() {
            return Ok(Received::End);
        }
        let mut turn = None;
        if line.len() == REQUEST_MAX && !line.ends_with(b"\n") && self.peer.may_change {
            let more = async {
                turn = Arc::clone(&self.shared.long_requests).acquire_owned().await.ok();
                reader.take((LONG_REQUEST_MAX - REQUEST_MAX) as u64).read_until(b'\n', &mut line).await
            };
            match timeout(LONG_PATIENCE, more).await {
                Ok(read) => drop(read?),
                Err(_) if turn.is_none() => return Ok(Received::Unread(busy("long requests"))),
                Err(elapsed) => return Err(elapsed.into()),
            }
        }
        if line.ends_with(b"\n") {
            return Ok(Received::Line(line, turn));
        }
        let most = if self.peer.may_change { LONG_REQUEST_MAX } else { REQUEST_MAX };
        let message = match line.len() < most {
            true => "request without an end".to_owned(),
            false => format!("request longer than {} KiB", most / 1024),
        };
        Ok(Received::Unread(Failure::new(FailureKind::Request, message)))
    }

    async fn reply(&self, line: Vec<u8>) -> Result<Reply, Failure> {
        self.permit(Act::Ask)?;
        let checked = match line.len() {
            ..=REQUEST_MAX => parse(&line),
            _ => spawn_blocking(move || parse(&line)).await.unwrap_or_else(|_| Err(ending())),
        }?;
        let told = match checked {
            Checked::Status => Told::Status(Box::new(self.ask(Question::Status).await?)),
            Checked::Reload { force } => {
                let by = self.author().await?;
                Told::Reload(self.ask(|answer| Question::Reload { force, by, answer }).await?)
            }
            Checked::Edit { edit, force, warnings } => {
                let by = self.author().await?;
                Told::Edit(self.ask(|answer| Question::Edit { edit, force, by, answer }).await?.warn(warnings))
            }
            Checked::Lockdown { request, force, warnings } => {
                let by = self.author().await?;
                Told::Edit(self.ask(|answer| Question::Lockdown { request, force, by, answer }).await?.warn(warnings))
            }
            Checked::Under(prefixes) => {
                // It names login sessions, and is asked before a change.
                self.permit(Act::Change)?;
                let turn = self.listing_turn().await?;
                let inquiry = self.ask(|answer| Question::Under { prefixes, answer }).await?;
                let pid = self.peer.pid;
                let answer = spawn_blocking(move || {
                    let _turn = turn;
                    inquiry.answer(pid)
                });
                Told::Under(answer.await.map_err(|_| ending())?)
            }
            Checked::List(list) => {
                let turn = self.listing_turn().await?;
                return Ok(Reply::Pages(self.ask(|answer| Question::List { list, answer }).await?, turn));
            }
        };
        Ok(Reply::Line(told))
    }

    /// Waits for the turn to have a list looked through.
    async fn listing_turn(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let turn = timeout(PATIENCE, Arc::clone(&self.share().listings).acquire_owned()).await;
        turn.map_err(|_| busy("lists"))?.map_err(|_| ending())
    }

    /// Puts a question to the daemon when it is this client's turn; an ending one gives no answer.
    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, Failure> {
        let Share { questions, pace, .. } = self.share();
        let _turn = questions.acquire().await.map_err(|_| ending())?;
        sleep(*pace).await;
        let (sender, answer) = oneshot::channel();
        self.shared.questions.send(question(sender)).await.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())
    }

    /// Names the client, if it may change the policy.
    async fn author(&self) -> Result<Who, Failure> {
        self.permit(Act::Change)?;
        let peer = self.peer;
        spawn_blocking(move || peer.who()).await.map_err(|_| ending())
    }

    /// Refuses what is not for this client.
    fn permit(&self, act: Act) -> Result<(), Failure> {
        let for_all = act == Act::Ask && self.shared.access().readers == Readers::Everyone;
        if for_all || self.peer.may_change {
            return Ok(());
        }
        let (what, more) = match act {
            Act::Ask => ("answers", ", unless `readers` under [control] is `everyone`"),
            Act::Change => ("changes", ""),
        };
        let uid = self.peer.uid;
        let message = format!("{what} are for root and members of the group `{GROUP}`{more}; uid {uid} is neither");
        Err(Failure::new(FailureKind::NotPermitted, message))
    }

    fn share(&self) -> &Share {
        if self.peer.may_change { &self.shared.members } else { &self.shared.others }
    }
}

fn ending() -> Failure {
    Failure::new(FailureKind::Unavailable, "the daemon gave no answer: it may be ending")
}

fn busy(what: &str) -> Failure {
    Failure::new(FailureKind::Busy, format!("too many {what} at once: try again"))
}

/// Reads a request; a long one takes long.
pub(super) fn parse(line: &[u8]) -> Result<Checked, Failure> {
    let nonsense = |message: String| {
        let end = message.floor_char_boundary(MESSAGE_MAX);
        Failure::new(FailureKind::Request, format!("no request: {}", &message[..end]))
    };
    let message: Message = serde_json::from_slice(line).map_err(|error| nonsense(error.to_string()))?;
    if message.version != VERSION {
        let message = format!("version {} of the protocol is not spoken here, {VERSION} is", message.version);
        return Err(Failure::new(FailureKind::Request, message));
    }
    message.request.check().map_err(nonsense)
}

/// Waits until the client has closed the connection. One that has only said its last request is still there.
async fn gone(reader: &mut BufReader<OwnedReadHalf>, writer: &OwnedWriteHalf) {
    let said_all = reader.fill_buf().await.map_or(true, <[u8]>::is_empty);
    let is_closed = async || writer.ready(Interest::WRITABLE).await.is_ok_and(|ready| ready.is_write_closed());
    if !said_all || !is_closed().await {
        pending().await
    }
}

async fn write(writer: &mut OwnedWriteHalf, told: Result<Told, Failure>) -> io::Result<()> {
    timeout(PATIENCE, writer.write_all(&line(&Answer::from(told))?)).await?
}

/// Writes a list page by page. They are assembled on a thread, two ahead at most, which the daemon does not wait for.
async fn write_pages(writer: &mut OwnedWriteHalf, listing: Listing, turn: OwnedSemaphorePermit) -> io::Result<()> {
    let (sender, mut lines) = mpsc::channel(1);
    let assemble = spawn_blocking(move || {
        let _turn = turn;
        let mut pages = listing.pages().map(|page| line(&Answer::<Page>::from(Ok(page))));
        // Until the client has gone.
        pages.try_for_each(|line| sender.blocking_send(line))
    });
    while let Some(line) = lines.recv().await {
        writer.write_all(&line?).await?;
    }
    // Where it broke off, there must be no next answer.
    assemble.await?.map_err(|_| io::ErrorKind::BrokenPipe.into())
}

fn line(answer: &Answer<impl Serialize>) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(answer)?;
    text.push(b'\n');
    Ok(text)
}
