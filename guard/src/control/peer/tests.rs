//! Credentials as the kernel tells them, of threads that take others on.

use std::{
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use guard_tests::User as Somebody;

use super::*;

const GROUP: u32 = 54_321;
const SOMEBODY: u32 = 54_322;

/// A user of no group that matters.
pub(crate) const NOBODY: Somebody<'_> = Somebody { uid: SOMEBODY, gid: SOMEBODY, groups: &[] };

/// The peer of a listener that anybody may connect to.
fn peer_of(somebody: Somebody<'_>, group: Option<Gid>) -> Peer {
    let dir = tempfile::tempdir().unwrap();
    open_to_all(dir.path(), 0o755);
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    open_to_all(&path, 0o666);
    let _client = somebody.enter(|| UnixStream::connect(&path)).unwrap();
    Peer::of(&listener.accept().unwrap().0, group).unwrap()
}

pub(crate) fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn root_and_members_of_the_group_may_change() {
    let group = Some(Gid::from_raw(GROUP));
    let many: Vec<u32> = (1000..1300).collect();
    let many_and_it: Vec<u32> = many.iter().copied().chain([GROUP]).collect();
    let somebody = |gid, groups| Somebody { uid: SOMEBODY, gid, groups };
    for (case, peer, group, may_change) in [
        ("root", Somebody { uid: 0, gid: SOMEBODY, groups: &[] }, group, true),
        ("root, without the group on the host", Somebody { uid: 0, gid: 0, groups: &[] }, None, true),
        ("nobody", NOBODY, group, false),
        ("the primary group", somebody(GROUP, &[]), group, true),
        ("a supplementary group", somebody(SOMEBODY, &[7, GROUP, 9]), group, true),
        ("other groups", somebody(SOMEBODY, &[7, 9, GROUP + 1]), group, false),
        ("root's group", somebody(0, &[0]), group, false),
        ("without the group on the host", somebody(GROUP, &[GROUP]), None, false),
        ("more groups than usual", somebody(SOMEBODY, &many), group, false),
        ("more groups than usual, and it", somebody(SOMEBODY, &many_and_it), group, true),
    ] {
        let found = peer_of(peer, group);
        assert_eq!((found.uid.as_raw(), found.may_change), (peer.uid, may_change), "{case}");
    }
}

#[test]
fn who_is_named_by_user_process_and_command() {
    let who = peer_of(Somebody { uid: 0, gid: 0, groups: &[] }, None).who();
    assert_eq!((who.uid, who.user.as_deref(), who.pid), (0, Some("root"), std::process::id().cast_signed()));
    let program = std::env::args().next().unwrap();
    assert!(who.command.starts_with(&program), "{who:?}");
    assert_eq!(peer_of(NOBODY, None).who().user, None, "a number without a name");
}

/// The command line of a program once the process has become it.
fn command_of(program: &str, arguments: &[&str]) -> String {
    let mut child = Command::new(program).args(arguments).stdout(Stdio::null()).spawn().unwrap();
    let pid = Pid::from_raw(child.id().cast_signed());
    while !command(pid).unwrap().starts_with(program) {
        thread::yield_now();
    }
    let text = command(pid).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(command(pid).is_err(), "of a process that is gone");
    text
}

#[test]
fn a_long_command_is_cut() {
    let text = command_of("sleep", &[&["1000"][..], &["0"; 5000]].concat());
    assert!(text.starts_with("sleep 1000 0 0 0"), "{text}");
    assert!((COMMAND_MAX - 1..=COMMAND_MAX).contains(&(text.len() as u64)), "{} bytes", text.len());
}

#[test]
fn a_command_moves_no_cursor() {
    let text =
        command_of("tail", &["-f", "/dev/null", "--pid=1", "-s", "9", "--", "/dev/null", "-\u{1b}[2J\n\u{9b}2Jü"]);
    assert_eq!(text, "tail -f /dev/null --pid=1 -s 9 -- /dev/null -\u{fffd}[2J\u{fffd}\u{fffd}2Jü");
}
