//! Looks whether files that hold data are others than those that were read.
//!
//! By their state, not by events of directories: those miss what happens behind links, on network file systems and where mounts
//! change.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};

use crate::config::DataFiles;

/// How often files are looked at, and for how long they must stay as they are to be read: a writer may be at work.
pub(super) const INTERVAL: Duration = Duration::from_millis(150);

/// The files of the policy in force, and a task that watches them.
pub(super) struct Watch {
    expected: watch::Sender<Arc<DataFiles>>,
    changes: mpsc::Receiver<()>,
    task: JoinHandle<()>,
}

impl Watch {
    pub(super) fn start(files: Arc<DataFiles>) -> Self {
        let (expected, files) = watch::channel(files);
        let (sender, changes) = mpsc::channel(1);
        Self { expected, changes, task: tokio::spawn(look(files, sender)) }
    }

    /// From now on these are the files that were read.
    pub(super) fn expect(&self, files: &Arc<DataFiles>) {
        self.expected.send_replace(Arc::clone(files));
    }

    /// Waits until files are others than expected, once for each state they come to.
    pub(super) async fn changed(&mut self) {
        // The task ends with this.
        let _ = self.changes.recv().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(files: watch::Receiver<Arc<DataFiles>>, changes: mpsc::Sender<()>) {
    // What was told already: it may have been refused.
    let mut told = None;
    let mut seen = None;
    loop {
        sleep(INTERVAL).await;
        let expected = Arc::clone(&files.borrow());
        let look = spawn_blocking(move || (expected.have_changed(), expected.look()));
        let Ok((have_changed, now)) = look.await else { continue };
        if !have_changed {
            told = None;
        } else if told.as_ref() != Some(&now) && seen.as_ref() == Some(&now) {
            told = Some(now.clone());
            if changes.send(()).await.is_err() {
                return;
            }
        }
        seen = Some(now);
    }
}
