//! The daemon's side of the socket. Connections are read here; the daemon answers what they ask.

use std::{
    collections::VecDeque,
    fs,
    future::pending,
    io,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::unistd::Group;
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Interest},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tracing::debug;

use super::{Answer, Kind, REQUEST_MAX, Request, VERSION};
use crate::{reload::Outcome, status::Status};

/// Connections that are served at once; one more ends the oldest of those that wait for no answer, so that clients that say
/// nothing keep nobody out.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take over a request, and over reading its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who may use the socket besides root.
const GROUP: &str = "guard";

/// What a client asks the daemon.
pub(crate) enum Question {
    Status(oneshot::Sender<Status>),
    Reload { force: bool, answer: oneshot::Sender<Outcome> },
}

/// What the daemon tells a client.
#[derive(Serialize)]
#[serde(untagged)]
enum Reply {
    Status(Box<Status>),
    Reload(Outcome),
}

/// The listening socket; gone from the file system when dropped.
pub(crate) struct Control {
    path: PathBuf,
    /// What clients ask.
    pub(crate) questions: mpsc::Receiver<Question>,
    listener: JoinHandle<()>,
}

impl Control {
    /// Opens the socket. One that lies there already is left over: the instance's lock is this process's.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
        if let Ok(Some(group)) = Group::from_name(GROUP) {
            chown(path, None, Some(group.gid.as_raw()))?;
        }
        let (sender, questions) = mpsc::channel(CONNECTIONS_MAX);
        Ok(Self { path: path.to_owned(), questions, listener: tokio::spawn(listen(listener, sender)) })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.listener.abort();
        if let Err(error) = fs::remove_file(&self.path) {
            debug!("removing {}: {error}", self.path.display());
        }
    }
}

/// A connection that is served.
struct Connection {
    task: JoinHandle<()>,
    /// Whether its client waits for an answer.
    waits: Arc<AtomicBool>,
}

async fn listen(listener: UnixListener, questions: mpsc::Sender<Question>) {
    let mut connections: VecDeque<Connection> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.retain(|connection| !connection.task.is_finished());
                let (questions, waits) = (questions.clone(), Arc::new(AtomicBool::new(false)));
                let task = tokio::spawn({
                    let waits = Arc::clone(&waits);
                    async move {
                        if let Err(error) = serve(stream, &questions, &waits).await {
                            debug!("control connection: {error}");
                        }
                    }
                });
                connections.push_back(Connection { task, waits });
                let waits = |connection: &Connection| connection.waits.load(Ordering::Relaxed);
                if connections.len() > CONNECTIONS_MAX
                    // If all others wait, this is the new one.
                    && let Some(oldest) = connections.iter().position(|connection| !waits(connection))
                    && let Some(connection) = connections.remove(oldest)
                {
                    connection.task.abort();
                }
            }
            Err(error) => {
                debug!("control socket: {error}");
                // Out of descriptors, most likely: others must get to close theirs.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Answers a connection's requests until it ends, stalls or sends too long a line.
async fn serve(stream: UnixStream, questions: &mpsc::Sender<Question>, waits: &AtomicBool) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut reader).take(REQUEST_MAX as u64);
        let length = timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await??;
        if length == 0 {
            return Ok(());
        }
        let complete = line.ends_with(b"\n");
        let answer = if complete {
            waits.store(true, Ordering::Relaxed);
            let answer = tokio::select! {
                answer = answer(&line, questions) => answer,
                // Nobody does for it what it does not wait for.
                () = gone(&mut reader, &writer) => return Ok(()),
            };
            waits.store(false, Ordering::Relaxed);
            answer
        } else {
            Answer::Error("request without an end".to_owned())
        };
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        timeout(PATIENCE, writer.write_all(&text)).await??;
        if !complete {
            return Ok(());
        }
    }
}

/// Waits until the client has closed the connection. One that has only said its last request is still there.
async fn gone(reader: &mut BufReader<OwnedReadHalf>, writer: &OwnedWriteHalf) {
    let said_all = reader.fill_buf().await.map_or(true, <[u8]>::is_empty);
    let is_closed = async || writer.ready(Interest::WRITABLE).await.is_ok_and(|ready| ready.is_write_closed());
    if !said_all || !is_closed().await {
        pending().await
    }
}

async fn answer(line: &[u8], questions: &mpsc::Sender<Question>) -> Answer<Reply> {
    let request: Request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return Answer::Error(format!("no request: {error}")),
    };
    if request.version != VERSION {
        return Answer::Error(format!("version {} of the protocol is not spoken here, {VERSION} is", request.version));
    }
    let reply = match request.request {
        Kind::Status => put(questions, Question::Status).await.map(|status| Reply::Status(Box::new(status))),
        Kind::Reload { force } => put(questions, |answer| Question::Reload { force, answer }).await.map(Reply::Reload),
    };
    reply.map_or_else(|| Answer::Error("the daemon is ending".to_owned()), Answer::Ok)
}

/// Puts a question to the daemon; an ending one gives no answer.
async fn put<T>(
    questions: &mpsc::Sender<Question>,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> Option<T> {
    let (sender, answer) = oneshot::channel();
    questions.send(question(sender)).await.ok()?;
    answer.await.ok()
}

#[cfg(test)]
mod tests;
