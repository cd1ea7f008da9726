use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use guard_tests::wait::until;

use super::*;

/// A program that runs until it is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id() as i32)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ends(peer: &str, local: &str) -> Ends {
    Ends { peer: peer.parse().unwrap(), local: local.parse().unwrap() }
}

#[test]
fn four_words_are_a_connection() {
    for (text, expected) in [
        ("192.0.2.7 50000 10.0.0.1 22", Some(ends("192.0.2.7:50000", "10.0.0.1:22"))),
        ("2001:db8::7 50000 2001:db8::1 2222", Some(ends("[2001:db8::7]:50000", "[2001:db8::1]:2222"))),
        ("::ffff:192.0.2.7 50000 ::ffff:10.0.0.1 22", Some(ends("192.0.2.7:50000", "10.0.0.1:22"))),
        ("fe80::7%eth0 50000 fe80::1%eth0 22", Some(ends("[fe80::7]:50000", "[fe80::1]:22"))),
        ("", None),
        ("192.0.2.7 50000 10.0.0.1", None),
        ("192.0.2.7 50000 10.0.0.1 22 more", None),
        ("192.0.2.7 50000 10.0.0.1 22 ", None),
        ("192.0.2.7  50000 10.0.0.1 22", None),
        ("192.0.2.7 0 10.0.0.1 22", None),
        ("192.0.2.7 50000 10.0.0.1 65536", None),
        ("192.0.2.7/32 50000 10.0.0.1 22", None),
        ("home.example 50000 10.0.0.1 22", None),
        ("UNKNOWN 65535 UNKNOWN 65535", None),
    ] {
        assert_eq!(parse(text), expected, "{text:?}");
    }
}

#[test]
fn the_environment_of_ancestors_is_read() {
    let claimed = Trace::Claim(ends("192.0.2.7:50000", "10.0.0.1:22"));
    // The inner program has another environment, as sudo makes it.
    let script = "env -i sleep 60 & echo started; wait";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).env(VARIABLE, "192.0.2.7 50000 10.0.0.1 22");
    let shell = Running::start(&mut shell);
    let children = format!("/proc/{0}/task/{0}/children", shell.pid());
    let inner = until(Duration::from_secs(10), || std::fs::read_to_string(&children).ok()?.trim().parse().ok());
    let inner = Pid::from_raw(inner.expect("the shell starts a program"));
    assert!(traces(inner).contains(&claimed), "{:?}", traces(inner));
    assert!(traces(shell.pid()).contains(&claimed), "{:?}", traces(shell.pid()));
    assert!(!traces(Pid::this()).contains(&claimed), "{:?}", traces(Pid::this()));
    nix::sys::signal::kill(inner, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn a_process_that_is_gone_has_no_traces() {
    let mut child = Running::start(Command::new("sleep").arg("60").env(VARIABLE, "192.0.2.7 50000 10.0.0.1 22"));
    let pid = child.pid();
    // Its environment is there a moment after it is.
    assert!(until(Duration::from_secs(10), || (is_alive(pid) && !traces(pid).is_empty()).then_some(())).is_some());
    child.0.kill().unwrap();
    let dead = until(Duration::from_secs(10), || (!is_alive(pid)).then_some(()));
    assert!(dead.is_some(), "a process that nobody waited for does not run");
    assert_eq!(traces(pid), []);
    child.0.wait().unwrap();
    assert_eq!(traces(pid), []);
    assert_eq!(traces(Pid::from_raw(0)), []);
    assert_eq!(traces(Pid::from_raw(-1)), []);
}

#[test]
fn a_server_is_known_by_its_name() {
    let this = Process::myself().unwrap();
    for (name, expected) in
        [("sshd", true), ("sshd-session", true), ("dropbear", true), ("ssh", false), ("sshd2", false), ("bash", false)]
    {
        assert_eq!(is_server(&this, name), expected, "{name}");
    }
}
