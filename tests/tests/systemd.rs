//! guard as a service: what it tells the service manager, and the unit that it comes with.

use std::{fs, os::unix::net::UnixDatagram, path::Path, process::Command, time::Duration};

use guard_tests::{Cell, Family, Guard, Options, Site, guard::binary, privileges, xdp::program_on};
use nix::sys::signal::Signal;

const SOON: Duration = Duration::from_secs(20);
const CONFIG: &str = "allow.ips = ['192.0.2.1']\nservice = [{ name = 'web', ports = ['tcp/3000'] }]\n";

/// A service manager, as far as its ear goes.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(at: &Path) -> Self {
        let socket = UnixDatagram::bind(at).expect("a socket can be made");
        socket.set_read_timeout(Some(SOON)).expect("a socket takes a time limit");
        Self(socket)
    }

    /// Returns the next that it is told, without the time.
    fn hear(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).expect("guard tells something");
        let lines = str::from_utf8(&message[..length]).expect("it is text").lines();
        lines.filter(|line| !line.starts_with("MONOTONIC_USEC=")).map(str::to_owned).collect()
    }

    #[track_caller]
    fn expect(&self, expected: &[&str]) {
        assert_eq!(self.hear(), expected);
    }
}

#[test]
fn the_service_manager_is_told() {
    let site = Site::with_silent_peer(Cell { family: Family::V4, xdp_mode: "native" });
    let path = site.host().write("empty", "").with_file_name("notify.sock");
    let manager = Manager::listen(&site.host().outside(&path));
    let config = site.config(CONFIG);
    let env = [("NOTIFY_SOCKET", path.to_str().expect("the path is text"))];
    let mut guard = Guard::start(site.host(), Options { config: Some(&config), env: &env, ..Options::default() });
    manager.expect(&["READY=1", "STATUS=guarding `eth0` (native): mode enforce, generation 1"]);
    assert!(program_on(site.guarded()).is_some(), "ready, and nothing is attached");
    guard.wait_ready();

    let enforced = "STATUS=guarding `eth0` (native): mode enforce, generation 2";
    assert!(guard.ask(&["reload"]).status.success());
    manager.expect(&["RELOADING=1"]);
    manager.expect(&["READY=1", enforced]);
    site.host().write("default.toml", "typo = 1");
    guard.signal(Signal::SIGHUP);
    manager.expect(&["RELOADING=1"]);
    manager.expect(&["READY=1", enforced]);

    assert!(guard.stop().success());
    manager.expect(&["STOPPING=1"]);
}

#[test]
fn systemd_understands_the_unit() {
    let analyze = privileges::require_tool("systemd-analyze");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unit");
    fs::create_dir_all(&directory).expect("a directory can be made");
    let unit = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist/guard.service"));
    let unit = unit.expect("the unit is there").replace("/usr/bin/guard", binary().to_str().expect("the path is text"));
    assert!(unit.contains(" run --wait\n"), "{unit}");
    let path = directory.join("guard.service");
    fs::write(&path, unit).expect("a file can be written");
    let verified = Command::new(analyze).arg("verify").arg(&path).output().expect("it can be started");
    // It ends well even where it does not know a key.
    let said = [verified.stdout, verified.stderr].concat();
    assert!(said.is_empty() && verified.status.success(), "{}", String::from_utf8_lossy(&said));
}
