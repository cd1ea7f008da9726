//! State that outlives a daemon: which of the pinned tables are taken over.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::maps::{MapData, MapError};
use aya_obj::Object;
use guard_common::{names, records};
use tracing::warn;

use super::{
    KernelError,
    bpffs::{PinDirectory, remove_pin},
};

/// Tables that a restart must not empty: what was counted, and what is still to be told.
const STATE_MAPS: [&str; 14] = [
    names::COUNTERS,
    names::SERVICES,
    names::LINK_TYPES,
    names::GATES,
    names::BUDGET,
    names::UNREPORTED,
    names::EVENTS,
    names::BUCKETS,
    names::TOTALS,
    names::LIMITS,
    names::BUCKET_KEY,
    names::PENDING,
    names::FLOWS,
    names::FLOW_PORTS,
];

/// What the names of state directories begin with.
const PREFIX: &str = "state_";

/// Returns the name of the state's directory. It carries the records' layout, so that tables of another one are never
/// opened.
fn directory_name() -> String {
    format!("{PREFIX}{}", records::LAYOUT)
}

/// Returns where each state map is pinned; a pin that is there already has the shape that the object expects.
pub(super) fn adopt(pins: &PinDirectory, object: &[u8]) -> Result<Vec<(&'static str, PathBuf)>, KernelError> {
    let object = Object::parse(object).map_err(|error| KernelError::Load(error.into()))?;
    let directory = pins.directory(&directory_name())?;
    STATE_MAPS
        .into_iter()
        .map(|name| {
            let expected = object.maps.get(name).ok_or(KernelError::Missing(name))?;
            let path = directory.join(name);
            if path.exists() && !has_shape(&path, expected).map_err(KernelError::map(name))? {
                warn!("pinned map {name} has another shape: it starts anew");
                remove_pin(&path)?;
            }
            Ok((name, path))
        })
        .collect()
}

/// Removes state of other layouts, which no program uses any more.
pub(super) fn remove_others(pins: &PinDirectory) -> Result<(), KernelError> {
    let failed = |action, path: &Path, error| KernelError::Pin { action, path: path.to_owned(), error };
    let current = directory_name();
    let root = pins.path("");
    for entry in fs::read_dir(&root).map_err(|error| failed("reading", &root, error))? {
        let path = entry.map_err(|error| failed("reading", &root, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(PREFIX) && name != current {
            warn!("counters start anew: the earlier run was of another version of guard");
            fs::remove_dir_all(&path).map_err(|error| failed("removing", &path, error))?;
        }
    }
    Ok(())
}

fn has_shape(path: &PathBuf, expected: &aya_obj::Map) -> Result<bool, MapError> {
    let info = MapData::from_pin(path)?.info()?;
    Ok(info.map_type()? as u32 == expected.map_type()
        && info.key_size() == expected.key_size()
        && info.value_size() == expected.value_size()
        && info.max_entries() == expected.max_entries()
        && info.map_flags() == expected.map_flags())
}
