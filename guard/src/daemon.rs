//! `guard run`: from a checked policy to an enforced one, and what the daemon does from then on.

mod blocks;
mod guarding;
mod report;

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt as _, path::Path, time::Duration};

use anyhow::Context as _;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, Interval, MissedTickBehavior, interval_at, timeout},
};
use tracing::{error, info, warn};

use crate::{
    cli::Run,
    config::Loaded,
    control::{Control, Question},
    export::{Names, Writer},
    instance::Instance,
    kernel::{Counters, FLUSH_AGE, FLUSH_ALL, Flusher, Kernel, LoadOptions},
    launch::Selection,
    network::Network,
    policy::{Policy, Word as _},
};
use blocks::Blocks;
use guarding::Guarding;

/// How often held-back lines are looked through.
const LINES_INTERVAL: Duration = Duration::from_millis(250);
/// How often the kernel's gates are asked for what they hold back.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// How long the last of those are waited for: a CPU may have no time for them.
const FLUSH_PATIENCE: Duration = Duration::from_secs(3);
/// How often a stats line is written.
const STATS_INTERVAL: Duration = Duration::from_secs(10);
/// How often interfaces are looked at although netlink is silent: it drops messages under load.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Enforces the policy, and returns once a signal ends the daemon. Enforcement stays.
pub(crate) fn run(instance: Instance, loaded: Loaded, options: &Run) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(serve(instance, loaded, options))
}

async fn serve(instance: Instance, loaded: Loaded, options: &Run) -> anyhow::Result<()> {
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    // Before anything is attached, so that a signal from now on ends the daemon in order.
    let mut terminate = signal(SignalKind::terminate()).context("watching for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watching for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("watching for SIGHUP")?;

    let mut network = Network::open()?;
    let interfaces = network.interfaces().await?;
    let selection = Selection::new(&loaded.policy.interfaces, &interfaces).check(options.wait)?;
    make_directory(&instance.state_dir)?;
    make_directory(&instance.runtime_dir)?;
    let writer = Writer::open(&loaded.policy.log)?;
    let kernel = Kernel::load(&instance, &loaded.policy, LoadOptions { kernel_log: options.kernel_log })?;
    let socket = instance.socket();
    let mut control =
        Control::open(&socket).with_context(|| format!("opening the control socket {}", socket.display()))?;
    let mut daemon = Daemon::start(instance, loaded, kernel, writer, selection)?;
    daemon.look(&network).await;
    daemon.announce();

    let mut lines = ticker(LINES_INTERVAL);
    let mut flush = ticker(FLUSH_INTERVAL);
    let mut stats = ticker(STATS_INTERVAL);
    let mut look = ticker(LOOK_INTERVAL);
    let ended_by = loop {
        tokio::select! {
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = hangup.recv() => warn!("SIGHUP: this version does not reload; start `guard run` again to change the policy"),
            read = daemon.blocks.read() => read?,
            Some(question) = control.questions.recv() => daemon.answer(question, &network).await,
            Some(()) = network.changes.next() => {
                // One look answers for all that has happened by now.
                while let Some(Some(())) = network.changes.next().now_or_never() {}
                daemon.look(&network).await;
            }
            _ = look.tick() => daemon.look(&network).await,
            _ = lines.tick() => daemon.blocks.write_due(),
            _ = flush.tick() => daemon.flusher.ask(FLUSH_AGE),
            _ = stats.tick() => daemon.write_stats(),
        }
    };
    drop(control);
    daemon.finish(ended_by).await
}

/// A guard that enforces.
struct Daemon {
    instance: Instance,
    policy: Policy,
    /// The number of the generation in force.
    generation: u64,
    warnings: Vec<String>,
    counters: Counters,
    flusher: Flusher,
    guarding: Guarding,
    blocks: Blocks,
}

impl Daemon {
    /// Fills the kernel's tables and then attaches; where anything fails, nothing stays attached that was not before.
    fn start(
        instance: Instance,
        Loaded { policy, warnings, .. }: Loaded,
        kernel: Kernel,
        writer: Writer,
        selection: Selection,
    ) -> anyhow::Result<Self> {
        let Kernel { mut generations, addresses, counters, flusher, links, events } = kernel;
        let generation = generations.install(&policy)?;
        let guarding = Guarding::start(links, addresses, &policy, selection)?;
        let names = Names {
            services: policy.services.iter().map(|service| service.name.clone()).collect(),
            interfaces: guarding.names(),
        };
        Ok(Self {
            instance,
            generation,
            warnings: warnings.iter().map(ToString::to_string).collect(),
            counters,
            flusher,
            guarding,
            blocks: Blocks::new(events, writer, names),
            policy,
        })
    }

    fn announce(&self) {
        let mode = self.policy.mode.word();
        info!("guarding {}: mode {mode}, generation {}", self.guarding.describe(), self.generation);
        for unguarded in self.guarding.unguarded() {
            warn!("not guarding `{}`: {}", unguarded.name, unguarded.reason);
        }
    }

    /// Brings attachments and own addresses up to date with the host's interfaces.
    async fn look(&mut self, network: &Network) {
        if self.look_once(network).await {
            // In which mode it was attached, the kernel tells only now.
            self.look_once(network).await;
        }
    }

    async fn look_once(&mut self, network: &Network) -> bool {
        match network.interfaces().await {
            Ok(interfaces) => {
                let attached = self.guarding.follow(&self.policy, &interfaces);
                self.blocks.names.interfaces = self.guarding.names();
                attached
            }
            Err(error) => {
                warn!("interfaces could not be looked at: {:#}", anyhow::Error::from(error));
                false
            }
        }
    }

    async fn answer(&mut self, question: Question, network: &Network) {
        // What is said to be enforced is looked at first.
        self.look(network).await;
        match question {
            Question::Status(sender) => match self.status() {
                // The client may have gone.
                Ok(status) => drop(sender.send(status)),
                Err(error) => error!("status: {:#}", anyhow::Error::from(error)),
            },
        }
    }

    fn write_stats(&mut self) {
        match self.counters.unreported() {
            Ok(unreported) => self.blocks.write_stats(unreported),
            Err(error) => error!("stats: {:#}", anyhow::Error::from(error)),
        }
    }

    /// Writes out everything that is held back, and says that enforcement stays.
    async fn finish(mut self, ended_by: &str) -> anyhow::Result<()> {
        if timeout(FLUSH_PATIENCE, self.flusher.flush(FLUSH_ALL)).await.is_err() {
            warn!("counts held back in the kernel are left to the next run");
        }
        self.blocks.read_all();
        self.blocks.write_all();
        self.write_stats();
        self.blocks.finish().await;
        let down = match self.instance.name.as_str() {
            "default" => "guard down".to_owned(),
            name => format!("guard --instance {name} down"),
        };
        info!("ended by {ended_by}; enforcement stays on {}: `{down}` ends it", self.guarding.describe());
        Ok(())
    }
}

fn ticker(period: Duration) -> Interval {
    let mut ticker = interval_at(Instant::now() + period, period);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

fn make_directory(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).with_context(|| format!("making {}", path.display()))
}
