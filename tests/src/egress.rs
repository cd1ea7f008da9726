//! Programs at the egress of interfaces.

use serde_json::Value;

use crate::{bpf::programs_attached, link::Interface};

/// An attach type of linux/bpf.h.
const TCX_EGRESS: u32 = 47;

/// How many BPF programs see what leaves by an interface: by tcx, and as classifiers.
pub fn programs_at_egress(interface: &Interface) -> usize {
    links(interface) + classifiers(interface)
}

/// Programs by tcx.
fn links(interface: &Interface) -> usize {
    let interface_index = interface.index();
    match interface.host().enter(|| programs_attached(interface_index, TCX_EGRESS)) {
        Ok(count) => count,
        // Nothing was ever attached, or the kernel is older than tcx.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => 0,
        Err(error) => panic!("programs of {interface:?}: {error}"),
    }
}

/// Programs as classifiers of a `clsact`.
fn classifiers(interface: &Interface) -> usize {
    let mut tc = interface.host().command("tc");
    tc.args(["-json", "filter", "show", "dev", interface.name(), "egress"]);
    let output = tc.output().expect("iproute2's `tc` can be started");
    let filters: Value = match output.stdout.as_slice() {
        // Without a `clsact` there is no list.
        [] => return 0,
        text => serde_json::from_slice(text).expect("`tc -json` prints JSON"),
    };
    let filters = filters.as_array().expect("`tc` lists filters");
    filters.iter().filter(|filter| filter["kind"] == "bpf" && filter["options"].is_object()).count()
}
