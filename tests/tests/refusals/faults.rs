//! What `guard run` and `guard check` say of a bad configuration.

use guard_tests::{Guard, Interface, Options, process::Finished, xdp::program_on};

/// A bad configuration by name, and a part of each of its faults.
pub(crate) struct Case<'a> {
    pub(crate) name: &'a str,
    pub(crate) config: Option<&'a str>,
    pub(crate) env: &'a [(&'a str, &'a str)],
    /// By path below the host's directory.
    pub(crate) files: &'a [(&'a str, &'a str)],
    pub(crate) faults: &'a [&'a str],
}

impl Case<'_> {
    /// Asserts that `check` and `run` refuse with just these faults, and leave nothing behind.
    pub(crate) fn assert_refused(&self, interface: &Interface) {
        let host = interface.host();
        for (path, text) in self.files {
            host.write(path, text);
        }
        let options = Options { config: self.config, env: self.env, ..Options::default() };
        let checked = Guard::invoke(host, options, "check");
        let run = Guard::invoke(host, options, "run");
        for (command, finished) in [("check", &checked), ("run", &run)] {
            let case = format!("{}: guard {command}", self.name);
            assert_eq!(finished.code(), Some(78), "{case}: {finished:?}");
            assert_eq!(finished.stdout, [] as [&str; 0], "{case}");
            let faults = faults(finished);
            for expected in self.faults {
                let found = faults.iter().filter(|fault| fault.contains(expected)).count();
                assert_eq!(found, 1, "{case}: faults with `{expected}` among {faults:#?}");
            }
            assert_eq!(faults.len(), self.faults.len(), "{case}: {faults:#?}");
        }
        assert_eq!(program_on(interface), None, "{}: a program is attached", self.name);
        assert!(!host.outside("/sys/fs/bpf/guard").exists(), "{}: pins are left", self.name);
        for (path, _) in self.files {
            std::fs::remove_file(host.outside(path)).expect("the file was written above");
        }
    }
}

/// The faults on standard error: one behind guard's name, or a heading with their number and then one a line.
fn faults(finished: &Finished) -> Vec<String> {
    let (first, rest) = finished.stderr.split_first().expect("a refusal says why");
    let first = first.strip_prefix("guard: ").expect("guard names itself");
    if rest.is_empty() {
        return vec![first.to_owned()];
    }
    assert_eq!(first, format!("{} faults in the configuration:", rest.len()));
    let indented = |line: &String| line.strip_prefix("  ").expect("faults are indented").to_owned();
    rest.iter().map(indented).collect()
}
