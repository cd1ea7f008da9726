//! `guard run`: from a checked policy to an enforced one, and what the daemon does from then on.

mod bans;
mod blocks;
mod candidate;
mod changes;
mod connections;
mod exits;
mod flows;
mod following;
mod guarding;
mod in_force;
mod outcome;
mod queue;
mod report;
mod roster;
mod trouble;
mod upkeep;
mod watch;

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt as _, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use tracing::{error, info, warn};

use crate::{
    audit::AuditLog,
    cli::Run,
    clock::Clock,
    config::{Loaded, Sources},
    control::Control,
    export::{Names, Outputs, Writer},
    instance::Instance,
    kernel::{Counters, Egress, FLUSH_AGE, Flusher, Generations, Kernel, LoadOptions, State, TimedTables, Used},
    launch::Selection,
    network::{Interface, Network, NetworkError},
    notify,
    policy::{Policy, Word as _, number_bits},
};
use bans::Banning;
use blocks::Blocks;
use candidate::Startup;
use connections::OpenConnections;
use exits::{Exits, Host};
use flows::OwnFlows;
use following::Following;
use guarding::{Failed, Guarding};
use in_force::InForce;
use outcome::Answer;
use queue::{By, Changes, Request, What};
use roster::Roster;
use upkeep::Upkeep;
use watch::Watch;

/// How often held-back lines are looked through.
const LINES_INTERVAL: Duration = Duration::from_millis(250);
/// How often the kernel's gates are asked for what they hold back.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// How often a stats line is written.
const STATS_INTERVAL: Duration = Duration::from_secs(10);
/// How often interfaces are looked at although netlink is silent: it drops messages under load.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is looked whether anything has ended.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked at which ports are listened on.
const PORTS_INTERVAL: Duration = Duration::from_secs(2);

/// How often it is looked at connections that are counted.
const CONNECTIONS_INTERVAL: Duration = Duration::from_millis(500);

/// Enforces the policy, and returns once a signal ends the daemon. Enforcement stays.
///
/// `loaded` is what `sources` said; a reload reads them again.
pub(crate) fn run(instance: Instance, sources: Sources, loaded: Loaded, options: &Run) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let ended = runtime.block_on(serve(instance, sources, loaded, options));
    // A configuration that is being read is not waited for.
    runtime.shutdown_background();
    ended
}

async fn serve(instance: Instance, sources: Sources, loaded: Loaded, options: &Run) -> anyhow::Result<()> {
    // Before the program is loaded, which takes a while: the clock may be set meanwhile.
    let upkeep = Upkeep::new();
    let log_level = loaded.log_level.clone();
    let (in_force, warnings) = InForce::of(loaded);
    warnings.iter().for_each(|warning| warn!("{warning}"));
    // Before anything is attached, so that a signal from now on ends the daemon in order.
    let mut terminate = signal(SignalKind::terminate()).context("watching for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watching for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("watching for SIGHUP")?;

    let mut network = Network::open()?;
    let host = look_at(&network).await?;
    let selection = Selection::new(&in_force.policy.interfaces, &host.interfaces).check(|_| options.wait)?;
    make_directory(&instance.state_dir)?;
    make_directory(&instance.runtime_dir)?;
    let audit = AuditLog::at(instance.audit_log());
    if let Err(refusal) = candidate::check_sessions(&instance, &in_force, &selection, options.force) {
        if let Err(error) = audit.append(&outcome::start(Err(&refusal), options.force)) {
            error!("the audit log lacks this start: {error}");
        }
        return Err(refusal.into());
    }
    let writer = Writer::start(Outputs::open(&in_force.policy.log, None)?);
    let kernel = Kernel::load(&instance, LoadOptions { kernel_log: options.kernel_log })?;
    let socket = instance.socket();
    let mut control = Control::open(&socket, in_force.policy.control_readers)
        .with_context(|| format!("opening the control socket {}", socket.display()))?;
    let startup = Startup { instance, sources, wait: options.wait, log_level, audit };
    let changes = Changes::new(startup, upkeep);
    let mut daemon = Daemon::start(changes, in_force, warnings, kernel, writer, selection, &host.outward()).await?;
    // A disk that is full is no reason to leave the host open; changes are refused until this can be written down.
    if let Err(error) = daemon.changes.startup().audit.append(&outcome::start(Ok(daemon.generation), options.force)) {
        let warning = format!("the audit log lacks this start: {error}");
        error!("{warning}");
        daemon.warnings.push(warning);
    }
    daemon.look(&network).await;
    daemon.connections.begin(&daemon.in_force, daemon.guarding.indices()).await?;
    daemon.announce();

    let mut lines = ticker(LINES_INTERVAL);
    let mut flush = ticker(FLUSH_INTERVAL);
    let mut stats = ticker(STATS_INTERVAL);
    let mut look = ticker(LOOK_INTERVAL);
    let mut ports = ticker(PORTS_INTERVAL);
    let mut upkeep = ticker(UPKEEP_INTERVAL);
    let mut connections = ticker(CONNECTIONS_INTERVAL);
    let ended_by = loop {
        tokio::select! {
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = hangup.recv() => daemon.request_unasked(What::Reload, By::Signal),
            step = daemon.changes.step() => {
                daemon.advance(step, &network).await;
                if let Err(error) = control.set_readers(daemon.in_force.configured.control_readers) {
                    error!("who may ask on the control socket: {error}");
                }
            }
            read = daemon.blocks.read() => read?,
            heard = daemon.banning.next() => daemon.hear(heard.context("reading the kernel's violations")?),
            Some(question) = control.questions.recv() => daemon.answer(question, &network).await,
            Some(()) = network.changes.next() => {
                // One look answers for all that has happened by now.
                while let Some(Some(())) = network.changes.next().now_or_never() {}
                daemon.look(&network).await;
            }
            _ = look.tick() => daemon.look(&network).await,
            _ = ports.tick() => daemon.flows.refresh(&daemon.in_force.policy),
            _ = upkeep.tick() => daemon.look_at_clocks(),
            _ = connections.tick() => daemon.look_at_connections(),
            () = daemon.watch.changed() => daemon.request_unasked(What::Files, By::Files),
            _ = lines.tick() => daemon.blocks.write_due(),
            _ = flush.tick() => daemon.flusher.ask(FLUSH_AGE),
            _ = stats.tick() => daemon.write_stats(),
        }
    };
    notify::stopping();
    daemon.end_changes(&network).await;
    drop(control);
    daemon.finish(ended_by).await
}

/// A guard that enforces.
struct Daemon {
    in_force: InForce,
    /// The number of the generation in force.
    generation: u64,
    /// Those of the configuration that is in force.
    warnings: Vec<String>,
    changes: Changes,
    watch: Watch,
    roster: Roster,
    /// Absent while a thread installs a policy.
    generations: Option<Generations>,
    counters: Counters,
    timed: TimedTables,
    used: Used,
    flusher: Flusher,
    guarding: Guarding,
    flows: OwnFlows,
    following: Following,
    connections: OpenConnections,
    banning: Banning,
    blocks: Blocks,
}

impl Daemon {
    /// Fills the kernel's tables and then attaches; where anything fails, nothing stays attached that was not before.
    async fn start(
        changes: Changes,
        in_force: InForce,
        warnings: Vec<String>,
        kernel: Kernel,
        writer: Writer,
        selection: Selection,
        outward: &[Interface],
    ) -> anyhow::Result<Self> {
        let Kernel {
            mut generations,
            addresses,
            mut counters,
            timed,
            used,
            services,
            flusher,
            egress,
            flows,
            links,
            events,
            violations,
            connections,
            sockets,
            state,
        } = kernel;
        // Before anything is taken over from an earlier run, which could not be given back.
        selection.present.iter().try_for_each(|interface| links.check_free(interface))?;
        let mut roster = Roster::open(services)?;
        let interfaces = selection.present.iter().map(|interface| (interface.index, interface.name.clone())).collect();
        let names = Names { services: roster.names(), interfaces };
        let mut blocks = Blocks::new(events, writer, names);
        let mut given = Vec::new();
        let in_force = in_force.numbered(|policy| {
            given = roster.assign(&mut policy.services)?;
            anyhow::Ok(())
        })?;
        let policy = Arc::clone(&in_force.policy);
        let open_connections = OpenConnections::new(connections.clone(), &in_force)?;
        roster::tell_gone(&given, &flusher, &mut blocks).await?;
        let generation = generations.install(&policy, None)?;
        timed.set(&in_force.timed_prefixes(), &Clock::now()).context("bans and grants")?;
        let journal = changes.instance().bans_journal();
        let banning = Banning::start(violations, timed.clone(), journal, open_connections.closer());

        // Under such a number something else was counted.
        given.iter().filter(|given| given.taken).try_for_each(|given| state.forget_service(given.number))?;
        let counted_before = roster.counted();
        let enrolled = roster.enroll(given, &policy.services, &mut counters);
        blocks.names.services = roster.names();
        let flows = OwnFlows::new(flows);
        let following = Following::new(sockets, connections);
        let followed = enrolled.map_err(anyhow::Error::from).and_then(|()| Ok(following.begin(&policy)?));
        let opened = match followed {
            Ok(()) => open_exits(egress, &state, &flows, &policy, &selection.present, outward).await,
            Err(error) => Err(error),
        };
        let started = match opened {
            Ok(exits) => Guarding::start(links, exits, addresses, &policy, selection),
            Err(error) => Err(Failed { error, remains: false }),
        };
        let guarding = match started {
            Ok(guarding) => guarding,
            Err(Failed { error, remains }) => {
                if !remains {
                    roster.settle(counted_before);
                    generations.withdraw_limits();
                }
                return Err(error);
            }
        };
        if let Err(error) = state.finish() {
            warn!("{:#}; the next run sees to it", anyhow::Error::from(error));
        }
        if let Err(error) = following.end(&policy) {
            warn!("connections are counted for nothing: {:#}", anyhow::Error::from(error));
        }
        roster.settle(number_bits(&policy.services));
        generations.free_retired();
        let watch = Watch::start(Arc::clone(&in_force.files));
        Ok(Self {
            in_force,
            generation,
            warnings,
            changes,
            watch,
            roster,
            generations: Some(generations),
            counters,
            timed,
            used,
            flusher,
            guarding,
            flows,
            following,
            connections: open_connections,
            banning,
            blocks,
        })
    }

    fn announce(&self) {
        let described = self.describe();
        info!("{described}");
        notify::ready(&described);
        for unguarded in self.guarding.unguarded() {
            warn!("not guarding `{}`: {}", unguarded.name, unguarded.reason);
        }
    }

    /// Says in one line what is enforced.
    fn describe(&self) -> String {
        let mode = self.in_force.policy.mode.word();
        format!("guarding {}: mode {mode}, generation {}", self.guarding.describe(), self.generation)
    }

    /// Brings attachments and own addresses up to date with the host's interfaces.
    async fn look(&mut self, network: &Network) {
        if self.look_once(network).await {
            // In which mode it was attached, the kernel tells only now.
            self.look_once(network).await;
        }
    }

    async fn look_once(&mut self, network: &Network) -> bool {
        match look_at(network).await {
            Ok(host) => {
                let attached = self.guarding.follow(&self.in_force.policy, &host);
                self.blocks.names.interfaces = self.guarding.names();
                attached
            }
            Err(error) => {
                warn!("interfaces could not be looked at: {:#}", anyhow::Error::from(error));
                false
            }
        }
    }

    /// Takes a request for whose outcome nobody waits.
    fn request_unasked(&mut self, what: What, by: By) {
        self.request(Request { what, force: false, by, answer: Answer::Nobody });
    }

    fn write_stats(&mut self) {
        match self.counters.unreported() {
            Ok(unreported) => self.blocks.write_stats(unreported),
            Err(error) => error!("stats: {:#}", anyhow::Error::from(error)),
        }
    }

    /// Writes out everything that is held back, and says that enforcement stays.
    async fn finish(mut self, ended_by: &str) -> anyhow::Result<()> {
        if let Err(error) = self.blocks.tell_all(&self.flusher).await {
            warn!("{error:#}; they are left to the next run");
        }
        self.write_closed();
        self.write_stats();
        self.banning.finish().await.iter().for_each(|told| told.tell(&self.blocks));
        self.blocks.finish().await;
        let down = self.changes.instance().command("down");
        info!("ended by {ended_by}; enforcement stays on {}: `{down}` ends it", self.guarding.describe());
        Ok(())
    }
}

async fn look_at(network: &Network) -> Result<Host, NetworkError> {
    Ok(Host { interfaces: network.interfaces().await?, routing: network.routing_interfaces().await? })
}

/// Has packets noted that leave, and what was open before. If that can't be, nothing stays attached that was not before.
async fn open_exits(
    egress: Egress,
    state: &State,
    flows: &OwnFlows,
    policy: &Policy,
    guarded: &[Interface],
    outward: &[Interface],
) -> anyhow::Result<Exits> {
    let planned = guarded.iter().chain(outward).map(|interface| interface.index).collect();
    flows.learn_ports(planned).await?;
    let mut exits = Exits::start(egress, guarded, outward)?;
    state.catch_up();
    if let Err(error) = flows.take_over(policy, exits.indices()).await {
        exits.abandon()?;
        return Err(error);
    }
    Ok(exits)
}

fn ticker(period: Duration) -> Interval {
    let mut ticker = interval_at(Instant::now() + period, period);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

fn make_directory(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).with_context(|| format!("making {}", path.display()))
}
