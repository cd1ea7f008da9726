//! Lines on their way to standard output and a file, on a thread of their own: a reader that stalls stalls nobody else.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread,
    time::Duration,
};

use futures_util::future::join_all;
use thiserror::Error;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tracing::error;

use super::LogFile;
use crate::policy::LogPolicy;

/// Lines that may wait. At the full budget of one CPU, about eight seconds' worth.
const WAITING_MAX: usize = 8_192;

/// How long a stalled reader is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Error)]
#[error("the block log {path} can't be opened: {error}")]
pub(crate) struct WriterError {
    path: PathBuf,
    error: io::Error,
}

struct Line {
    text: Vec<u8>,
    /// Blocked packets that the line stands for.
    packets: u64,
}

/// What a policy wants lines written to, open.
pub(crate) struct Outputs(Vec<Output>);

impl Outputs {
    /// Opens what the policy names; a file that lines are written to already, if it is still the one, is not opened again.
    pub(crate) fn open(log: &LogPolicy, former: Option<&LogFile>) -> Result<Self, WriterError> {
        let mut outputs = Vec::new();
        if log.stdout {
            outputs.push(Output::Stdout);
        }
        if let Some(path) = &log.eve {
            let file = LogFile::open(path, former).map_err(|error| WriterError { path: path.clone(), error })?;
            outputs.push(Output::File(file));
        }
        Ok(Self(outputs))
    }

    /// The file among them.
    pub(crate) fn file(&self) -> Option<&LogFile> {
        self.0.iter().find_map(|output| match output {
            Output::Stdout => None,
            Output::File(file) => Some(file),
        })
    }
}

/// The end of the pipe that lines are put into.
pub(crate) struct Writer {
    lines: SyncSender<Line>,
    /// Where they go, if not to standard output alone.
    file: Option<LogFile>,
    lost: Arc<AtomicU64>,
    /// One for each thread that may still have lines to write; the last is that of `lines`.
    finished: Vec<oneshot::Receiver<()>>,
}

impl Writer {
    pub(crate) fn start(outputs: Outputs) -> Self {
        let (lost, file) = (Arc::default(), outputs.file().cloned());
        let (lines, finished) = start_thread(outputs, &lost);
        Self { lines, file, lost, finished: vec![finished] }
    }

    /// Writes to other outputs from the next line on. A thread of their own does, so that it need not wait for a reader
    /// of the former ones; lines that were handed over before go where they belong all the same.
    pub(crate) fn redirect(&mut self, outputs: Outputs) {
        self.finished.retain_mut(|finished| finished.try_recv() == Err(TryRecvError::Empty));
        self.file = outputs.file().cloned();
        let (lines, finished) = start_thread(outputs, &self.lost);
        self.lines = lines;
        self.finished.push(finished);
    }

    /// The file that lines go to, if there is one.
    pub(crate) fn file(&self) -> Option<&LogFile> {
        self.file.as_ref()
    }

    /// Hands a line over; where too many wait already, its packets are counted as lost.
    pub(crate) fn write(&self, mut text: Vec<u8>, packets: u64) {
        text.push(b'\n');
        match self.lines.try_send(Line { text, packets }) {
            Ok(()) => {}
            Err(TrySendError::Full(line) | TrySendError::Disconnected(line)) => {
                self.lost.fetch_add(line.packets, Ordering::Relaxed);
            }
        }
    }

    /// Returns the packets whose lines could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until every line is written, unless their reader has stalled.
    pub(crate) async fn finish(self) {
        drop(self.lines);
        if tokio::time::timeout(PATIENCE, join_all(self.finished)).await.is_err() {
            error!("the block log's reader does not read: its last lines are lost");
        }
    }
}

fn start_thread(outputs: Outputs, lost: &Arc<AtomicU64>) -> (SyncSender<Line>, oneshot::Receiver<()>) {
    let (lines, waiting) = mpsc::sync_channel(WAITING_MAX);
    let (done, finished) = oneshot::channel();
    let lost = Arc::clone(lost);
    thread::spawn(move || {
        write_all(&waiting, outputs, &lost);
        // The one who waits may have run out of patience.
        let _ = done.send(());
    });
    (lines, finished)
}

enum Output {
    Stdout,
    File(LogFile),
}

impl Output {
    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().write_all(text).and_then(|()| io::stdout().flush()),
            Self::File(file) => file.append(text),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Stdout => "standard output".to_owned(),
            Self::File(file) => file.path().display().to_string(),
        }
    }
}

/// Writes lines until nobody sends any more. A line is lost if no output took it.
fn write_all(lines: &Receiver<Line>, Outputs(outputs): Outputs, lost: &AtomicU64) {
    let mut outputs: Vec<(Output, bool)> = outputs.into_iter().map(|output| (output, true)).collect();
    for line in lines {
        // A policy may ask for no log at all.
        let mut written = outputs.is_empty();
        for (output, works) in &mut outputs {
            match output.write(&line.text) {
                Ok(()) => {
                    written = true;
                    *works = true;
                }
                Err(error) => {
                    if *works {
                        error!("the block log can't be written to {}: {error}", output.name());
                    }
                    *works = false;
                }
            }
        }
        if !written {
            lost.fetch_add(line.packets, Ordering::Relaxed);
        }
    }
}
