//! Users of the machine that need no entry in its databases.

use std::{io, panic, thread};

/// Whom a thread becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User<'a> {
    pub uid: u32,
    pub gid: u32,
    /// The supplementary groups.
    pub groups: &'a [u32],
}

impl User<'_> {
    /// Runs a closure on a new thread as this user, for which the caller must be root, and returns its result; a panic goes on
    /// in the caller.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.become_it();
                work()
            });
            inside.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
        })
    }

    fn become_it(&self) {
        let Self { uid, gid, groups } = *self;
        // SAFETY: the calls take numbers, and a pointer to as many of them as is said. Unlike the C library's they change this
        // thread alone, which ends with its work.
        let changed = unsafe {
            [
                libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()),
                libc::syscall(libc::SYS_setresgid, gid, gid, gid),
                libc::syscall(libc::SYS_setresuid, uid, uid, uid),
            ]
        };
        assert_eq!(changed, [0; 3], "become {self:?}: {}", io::Error::last_os_error());
    }
}
