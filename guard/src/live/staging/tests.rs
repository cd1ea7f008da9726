mod adding;
mod files;
mod removing;
mod size;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::bans::Bans;
use crate::config::{Loaded, Sources, load, load_data, parse_prefix};
use crate::live::{Addition, Removal};

use super::*;

const TOML: &str = "\
interfaces = ['eth0']
allow.ips = ['10.0.0.0/8']
deny.ips = ['203.0.113.0/24']
sets.office = 'office.txt'
[[service]]
name = 'web'
ports = ['tcp/80']
allow = ['198.51.100.0/24', '@office']
[[service]]
name = 'db'
ports = ['tcp/5432']
";

/// A guard's files, and what they came to when they were last taken up.
struct Scene {
    dir: TempDir,
    loaded: Loaded,
    bans: Bans,
}

/// What an edit came to.
#[derive(Debug, Default, PartialEq)]
struct Done {
    /// Added, removed, replaced, unchanged.
    counts: (usize, usize, usize, usize),
    notes: Vec<String>,
    warnings: Vec<String>,
    needs_generation: bool,
}

impl Scene {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with_list(text: &str) -> Self {
        Self::with(&[("data/allowed_ips.json", text)])
    }

    fn with(files: &[(&str, &str)]) -> Self {
        Self::with_environment(&[("ALLOWED_IPS", "192.0.2.200 192.0.2.201")], files)
    }

    fn with_environment(environment: &[(&str, &str)], files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("guard.toml", TOML), ("office.txt", "192.0.2.128/25\n")].iter().chain(files) {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let sources = Sources {
            config: Some(dir.path().join("guard.toml")),
            default_config: PathBuf::new(),
            env_file: None,
            environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            state_dir: dir.path().to_owned(),
        };
        let loaded = load(&sources).unwrap();
        Self { dir, loaded, bans: Bans::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn stage(&self, edit: &Edit, clock: &Clock) -> Result<StagedEdit, Refusal> {
        let Loaded { policy, timed, live, files, .. } = &self.loaded;
        stage(edit, &InForce { policy, timed, live, bans: &self.bans, files }, Some(&who()), clock)
    }

    /// Makes an edit as the daemon does.
    fn edit(&mut self, edit: Edit) -> Result<Done, Vec<String>> {
        self.edit_at(edit, &Clock::now())
    }

    fn edit_at(&mut self, edit: Edit, clock: &Clock) -> Result<Done, Vec<String>> {
        let lines = |text: String| text.lines().map(|line| self.shown(line)).collect::<Vec<_>>();
        let mut staged = self.stage(&edit, clock).map_err(|refusal| lines(refusal.to_string()))?;
        let loaded = load_data(&self.loaded.basis, &staged.staged()).map_err(|faults| lines(faults.to_string()))?;
        staged.commit().unwrap();
        staged.sync().unwrap();
        assert_eq!(loaded.live, staged.live);
        assert!(!loaded.files.have_changed(), "what was put in place is what was loaded");
        self.loaded = loaded;
        let Changes { added, removed, replaced, unchanged, notes } = staged.changes.clone();
        Ok(Done {
            counts: (added, removed, replaced, unchanged),
            notes: notes.iter().map(|note| self.shown(note)).collect(),
            warnings: staged.warnings.iter().map(|warning| self.shown(warning)).collect(),
            needs_generation: staged.needs_generation,
        })
    }

    /// A message as if the directory were the current one, and without the times in it.
    fn shown(&self, text: &str) -> String {
        let text = text.replace(&format!("{}/", self.dir.path().display()), "");
        let words = text.split(' ').map(|word| if word.len() == 21 && word.ends_with("Z,") { "T," } else { word });
        words.collect::<Vec<_>>().join(" ")
    }

    fn list(&self) -> String {
        fs::read_to_string(self.path("data/allowed_ips.json")).unwrap_or_default()
    }

    /// What is added by command, a line each.
    fn live(&self) -> Vec<String> {
        let line = |entry: &crate::live::LiveEntry| {
            let list = if entry.list == List::Allow { "allow" } else { "block" };
            let words = [
                format!("{list} {}", entry.prefix),
                entry.services.join(","),
                entry.ends.map(|_| "ends".to_owned()).unwrap_or_default(),
                entry.name.iter().map(|name| format!("name {name}")).collect(),
                entry.comment.iter().map(|comment| format!("# {comment}")).collect(),
            ];
            words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
        };
        self.loaded.live.entries.iter().map(line).collect()
    }

    /// The names of everything in the directory of the list file.
    fn names(&self) -> Vec<String> {
        let Ok(names) = fs::read_dir(self.path("data")) else { return Vec::new() };
        let mut names: Vec<String> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn who() -> Who {
    Who { uid: 1000, user: Some("alice".to_owned()), pid: 7, command: "guard".to_owned() }
}

fn prefixes(text: &str) -> Vec<ipnet::IpNet> {
    text.split_whitespace().map(|prefix| parse_prefix(prefix).unwrap()).collect()
}

fn addition(list: List, text: &str) -> Addition {
    let prefixes = prefixes(text);
    Addition { list, prefixes, services: Vec::new(), ttl: None, comment: None, name: None }
}

fn allow(text: &str) -> Addition {
    addition(List::Allow, text)
}

fn block(text: &str) -> Addition {
    addition(List::Block, text)
}

fn add(addition: Addition) -> Edit {
    Edit::Add(addition)
}

fn removal(list: List, text: &str) -> Removal {
    Removal { list, prefixes: prefixes(text), services: Vec::new(), name: None }
}

fn names(services: &[&str]) -> Vec<String> {
    services.iter().map(|name| (*name).to_owned()).collect()
}

fn done(counts: (usize, usize, usize, usize), needs_generation: bool) -> Done {
    Done { counts, needs_generation, ..Done::default() }
}

const HOUR: Option<Duration> = Some(Duration::from_hours(1));
