//! The scene of these tests: a guarded host with a group `guard`, users of all sorts on it, and traffic that goes on.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use guard_tests::{
    Cell, Family, Guard, Site, Stream, User, frame::Frame, guard::binary, privileges::require_tool, process::Finished,
    process::Process,
};
use nix::{
    sched::{CloneFlags, unshare},
    unistd::fchdir,
};
use serde_json::Value;

/// How long an answer may take that nothing must hold up; less than the commands' own patience.
pub(crate) const PROMPTLY: Duration = Duration::from_secs(4);

pub(crate) const STATUS: &[u8] = b"{\"version\":1,\"request\":\"status\"}\n";

/// The group of the host that may change its guard.
const GROUP: u32 = 54_321;

pub(crate) const ROOT: User<'_> = User { uid: 0, gid: 0, groups: &[] };
pub(crate) const MEMBER: User<'_> = User { uid: 54_330, gid: 54_330, groups: &[7, GROUP] };
/// A member by its login.
pub(crate) const PRIMARY: User<'_> = User { uid: 54_331, gid: GROUP, groups: &[] };
pub(crate) const NOBODY: User<'_> = User { uid: 54_332, gid: 54_332, groups: &[7] };

pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) guard: Guard,
    binary: PathBuf,
}

impl Scene {
    /// Starts a guard whose socket is for some readers, with one listed source.
    pub(crate) fn new(readers: &str) -> Self {
        Self::with_list(readers, "[]")
    }

    /// Starts a guard with a list file.
    pub(crate) fn with_list(readers: &str, list: &str) -> Self {
        let site = Site::with_silent_peer(Cell { family: Family::V4, xdp_mode: "native" });
        let host = site.host();
        let mount = |from: PathBuf, to: &str| {
            let mounted = host.command("mount").arg("--bind").arg(from).arg(to).status().expect("mount can be started");
            assert!(mounted.success(), "mount on {to}: {mounted}");
        };
        let groups = fs::read_to_string("/etc/group").expect("the machine has groups");
        let others: Vec<&str> = groups.lines().filter(|line| !line.starts_with("guard:")).collect();
        mount(host.write("group", format!("{}\nguard:x:{GROUP}:\n", others.join("\n"))), "/etc/group");
        // Where every user may start it.
        let at = host.write("/run/guard-binary", "");
        mount(binary(), at.to_str().expect("the path is text"));
        host.write("state/data/allowed_ips.json", list);
        let guard = site.guard(&config(readers));
        Self { site, guard, binary: at }
    }

    /// Rewrites who may read, and reloads.
    pub(crate) fn set_readers(&self, readers: &str) {
        self.site.host().write("default.toml", self.site.config(&config(readers)));
        let answer = self.guard.ask(&["reload"]);
        assert!(answer.status.success(), "{answer:?}");
    }

    /// Runs a command as a user.
    pub(crate) fn ask_as(&self, user: User<'_>, arguments: &[&str]) -> Finished {
        Process::finish(self.command_as(user, arguments), Duration::from_secs(20))
    }

    fn command_as(&self, User { uid, gid, groups }: User<'_>, arguments: &[&str]) -> Command {
        let host = self.site.host();
        let mut command = host.command(require_tool("setpriv"));
        command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
        let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
        match groups.is_empty() {
            true => command.arg("--clear-groups"),
            false => command.arg(format!("--groups={}", groups.join(","))),
        };
        command.arg(&self.binary).arg("--runtime-dir").arg(Guard::runtime_directory(host)).args(arguments);
        command
    }

    /// Connects as a user.
    pub(crate) fn connect_as(&self, user: User<'_>) -> io::Result<UnixStream> {
        let host = self.site.host();
        let socket = host.outside(Guard::runtime_directory(host).join("default.sock"));
        let directory = File::open(socket.parent().expect("it lies in a directory"))?;
        let stream = user.enter(|| {
            // The way there leads through this process's descriptors, which others may not use.
            unshare(CloneFlags::CLONE_FS)?;
            fchdir(&directory)?;
            UnixStream::connect("default.sock")
        })?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_write_timeout(Some(Duration::from_secs(1)))?;
        Ok(stream)
    }

    /// Asserts that the daemon answers at once.
    #[track_caller]
    pub(crate) fn assert_answers(&self, case: &str) {
        self.assert_does(&["status"], case);
    }

    /// Runs a command, which must do at once; returns what it says.
    #[track_caller]
    pub(crate) fn assert_does(&self, arguments: &[&str], case: &str) -> String {
        let start = Instant::now();
        let answer = self.guard.ask(arguments);
        assert!(answer.status.success(), "{case}: {arguments:?}: {answer:?}");
        assert!(start.elapsed() < PROMPTLY, "{case}: {arguments:?} took {:?}", start.elapsed());
        answer.stdout.join("\n")
    }

    /// The prefixes of a list.
    pub(crate) fn list(&self, list: &str) -> Vec<String> {
        let answer = self.guard.ask(&[list, "list", "--json"]);
        assert!(answer.status.success(), "{answer:?}");
        let value: Value = serde_json::from_str(&answer.stdout.join("\n")).expect("JSON is asked for");
        let entries = value["entries"].as_array().expect("a list has entries");
        entries.iter().map(|entry| entry["ip"].as_str().expect("an entry has a prefix").to_owned()).collect()
    }

    /// Sends packets of a listed source and of an unlisted one, over and over.
    pub(crate) fn stream(&self) -> Stream {
        let (from, to) = (self.site.link.right.mac(), self.site.link.left.mac());
        let address = self.site.address();
        Stream::start(&self.site.link, 2, move |kind, payload| {
            let source = [[192, 0, 2, 1], [192, 0, 2, 2]][usize::from(kind)].into();
            Frame::ethernet(from, to).ip(source, address).udp(1234, 3000).payload(payload).build()
        })
    }
}

/// Asserts that of a stream every packet of the listed source passed, and none of the other.
#[track_caller]
pub(crate) fn assert_judged(stream: Stream, case: &str) {
    let arrivals = stream.stop();
    assert_eq!(arrivals.lost, 0, "{case}: the wire lost packets, so that the others prove nothing");
    let passed = |kind: u8| arrivals.passed.iter().filter(|packet| packet.1 == kind).count();
    println!("{case}: {} rounds", arrivals.rounds);
    assert_eq!((passed(0), passed(1)), (arrivals.rounds as usize, 0), "{case}");
}

/// Sends bytes and returns the one line that comes back.
pub(crate) fn answer(mut stream: &UnixStream, request: &[u8]) -> Value {
    stream.write_all(request).expect("the daemon reads");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("the daemon answers");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

fn config(readers: &str) -> String {
    format!(
        "allow.ips = ['192.0.2.1']\ncontrol.readers = '{readers}'\n[[service]]\nname = 'web'\nports = ['udp/3000']\n"
    )
}
