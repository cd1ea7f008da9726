//! Blocked packets: from the kernel's ring to lines.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use guard_common::records::{BlockEvent, Unreported};
use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use tokio::time::timeout;

use crate::{
    export::{BlockLine, LogFile, Merger, Names, Outputs, StatsLine, Writer},
    kernel::{Events, FLUSH_ALL, Flusher},
};

/// How long what the kernel's gates hold is waited for: a CPU may have no time for them.
const FLUSH_PATIENCE: Duration = Duration::from_secs(3);

/// Turns events into lines, at most one a second for a (source, reason).
pub(super) struct Blocks {
    events: Events,
    merger: Merger,
    writer: Writer,
    pub(super) names: Names,
    /// Packets that lines were written for.
    written: u64,
}

impl Blocks {
    pub(super) fn new(events: Events, writer: Writer, names: Names) -> Self {
        Self { events, merger: Merger::default(), writer, names, written: 0 }
    }

    /// Waits for events and takes them.
    pub(super) async fn read(&mut self) -> anyhow::Result<()> {
        let events = self.events.next_batch().await.context("reading the kernel's events")?;
        self.admit(events);
        Ok(())
    }

    /// Writes lines for everything that was blocked so far, wherever its report is held back. Where the kernel's part of it
    /// does not come in time, that is an error, and lines are written for the rest.
    pub(super) async fn tell_all(&mut self, flusher: &Flusher) -> anyhow::Result<()> {
        let flushed = timeout(FLUSH_PATIENCE, flusher.flush(FLUSH_ALL)).await;
        self.read_all();
        let held = self.merger.drain();
        self.write(held);
        flushed.context("counts held back in the kernel do not come")
    }

    /// Writes lines to other outputs from now on.
    pub(super) fn redirect(&mut self, outputs: Outputs) {
        self.writer.redirect(outputs);
    }

    /// The file that lines are written to, if there is one.
    pub(super) fn log_file(&self) -> Option<&LogFile> {
        self.writer.file()
    }

    /// Takes the events that are there, without waiting.
    fn read_all(&mut self) {
        loop {
            let events = self.events.take_batch();
            if events.is_empty() {
                return;
            }
            self.admit(events);
        }
    }

    /// Writes the lines whose time has come.
    pub(super) fn write_due(&mut self) {
        let due = self.merger.due(Instant::now());
        self.write(due);
    }

    /// Writes how many packets no line stands for: those of the kernel, and those whose line could not be written.
    pub(super) fn write_stats(&mut self, unreported: Unreported) {
        let line = StatsLine::new(Timestamp::now(), unreported.merged, unreported.lost + self.writer.lost());
        self.hand_over(&line, 0);
    }

    /// Writes a line that stands for no packet.
    pub(super) fn tell(&self, line: &impl Serialize) {
        self.hand_over(line, 0);
    }

    /// Returns the packets that lines stand for, and those whose line could not be written.
    pub(super) fn written_and_lost(&self) -> (u64, u64) {
        let lost = self.writer.lost();
        (self.written.saturating_sub(lost), lost)
    }

    /// Waits until the last line is out.
    pub(super) async fn finish(self) {
        self.writer.finish().await;
    }

    fn admit(&mut self, events: Vec<BlockEvent>) {
        let now = Instant::now();
        let ready = events.into_iter().filter_map(|event| self.merger.admit(event, now)).collect();
        self.write(ready);
    }

    fn write(&mut self, events: Vec<BlockEvent>) {
        if events.is_empty() {
            return;
        }
        let clock = Clock::now();
        let names = std::mem::take(&mut self.names);
        for event in events {
            self.written += event.packets;
            self.hand_over(&BlockLine::new(&event, clock.wall_time(event.time_ns), &names), event.packets);
        }
        self.names = names;
    }

    fn hand_over(&self, line: &impl Serialize, packets: u64) {
        let text = serde_json::to_vec(line).expect("a line has text keys and no value that can't be written");
        self.writer.write(text, packets);
    }
}

/// Wall time beside the kernel's clock, read at one moment.
struct Clock {
    wall: Timestamp,
    monotonic: Duration,
}

impl Clock {
    fn now() -> Self {
        let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has a monotonic clock");
        Self { wall: Timestamp::now(), monotonic: monotonic.into() }
    }

    /// Returns when the kernel's clock showed `time_ns`.
    fn wall_time(&self, time_ns: u64) -> Timestamp {
        let ago = self.monotonic.saturating_sub(Duration::from_nanos(time_ns));
        self.wall.checked_sub(ago).unwrap_or(self.wall)
    }
}
