//! Programs at the egress of interfaces.

use serde_json::Value;

use crate::{bpf::bpf, link::Interface};

/// A command of bpf(2) and an attach type (linux/bpf.h).
const PROG_QUERY: libc::c_int = 16;
const TCX_EGRESS: u32 = 47;

/// How many BPF programs see what leaves by an interface: by tcx, and as classifiers.
pub fn programs_at_egress(interface: &Interface) -> usize {
    links(interface) + classifiers(interface)
}

/// Programs by tcx.
fn links(interface: &Interface) -> usize {
    /// The first fields of `union bpf_attr` for `BPF_PROG_QUERY`.
    #[derive(Default)]
    #[repr(C)]
    struct Query {
        interface: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        program_ids: u64,
        count: u32,
        unused: u32,
        program_attach_flags: u64,
        link_ids: u64,
        link_attach_flags: u64,
        revision: u64,
    }
    let interface_index = interface.index();
    let answer = interface.host().enter(|| {
        let mut query = Query { interface: interface_index, attach_type: TCX_EGRESS, ..Query::default() };
        // SAFETY: the value is whole, without padding, and names no memory; the kernel writes counts into it.
        let answer = unsafe { bpf(PROG_QUERY, &raw mut query, size_of::<Query>()) };
        answer.map(|_| query.count as usize)
    });
    match answer {
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
