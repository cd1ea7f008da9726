//! Lines on their way to standard output and a file, on a thread of their own: a reader that stalls stalls nobody else.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread,
    time::Duration,
};

use thiserror::Error;
use tokio::sync::oneshot;
use tracing::error;

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

/// The end of the pipe that lines are put into.
pub(crate) struct Writer {
    lines: SyncSender<Line>,
    lost: Arc<AtomicU64>,
    finished: oneshot::Receiver<()>,
}

impl Writer {
    /// Opens what the policy names.
    pub(crate) fn open(log: &LogPolicy) -> Result<Self, WriterError> {
        let mut outputs = Vec::new();
        if log.stdout {
            outputs.push(Output::Stdout);
        }
        if let Some(path) = &log.eve {
            let file = open(path).map_err(|error| WriterError { path: path.clone(), error })?;
            outputs.push(Output::File(file, path.clone()));
        }
        let (lines, waiting) = mpsc::sync_channel(WAITING_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let (done, finished) = oneshot::channel();
        let counter = Arc::clone(&lost);
        thread::spawn(move || {
            write_all(&waiting, outputs, &counter);
            // The one who waits may have run out of patience.
            let _ = done.send(());
        });
        Ok(Self { lines, lost, finished })
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
        if tokio::time::timeout(PATIENCE, self.finished).await.is_err() {
            error!("the block log's reader does not read: its last lines are lost");
        }
    }
}

enum Output {
    Stdout,
    File(File, PathBuf),
}

impl Output {
    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().write_all(text).and_then(|()| io::stdout().flush()),
            Self::File(file, _) => {
                let length = file.metadata()?.len();
                file.write_all(text).inspect_err(|_| {
                    // Half a line would make the next one unreadable. If it can't be taken back, nothing can be done.
                    let _ = file.set_len(length);
                })
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Stdout => "standard output".to_owned(),
            Self::File(_, path) => path.display().to_string(),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// Writes lines until nobody sends any more. A line is lost if no output took it.
fn write_all(lines: &Receiver<Line>, outputs: Vec<Output>, lost: &AtomicU64) {
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
