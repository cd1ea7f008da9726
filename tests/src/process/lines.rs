//! The lines that a program writes, kept as they come.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

/// One output stream of a program, read on a thread of its own.
pub(super) struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    /// Reads the stream until its end.
    pub(super) fn collect(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                lock(&kept).push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self { lines, reader: Some(reader) }
    }

    /// Waits for the end of the stream.
    pub(super) fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading lines does not panic");
        }
    }

    pub(super) fn so_far(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    pub(super) fn find(&self, marker: &str) -> Option<String> {
        lock(&self.lines).iter().find(|line| line.contains(marker)).cloned()
    }
}

fn lock(lines: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    // A reader of the lines that panicked changed none of them.
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}
