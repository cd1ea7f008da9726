//! Whether this process may do what guard does, asked before anything is tried.

use std::fs;

use super::KernelError;

/// A capability's number in the kernel's mask (capabilities(7)).
pub(super) const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
pub(super) const CAP_PERFMON: u32 = 38;
pub(super) const CAP_BPF: u32 = 39;

/// Refuses without the capabilities that loading and attaching need. CAP_PERFMON is one: without it the verifier
/// forbids the pointer arithmetic of a table lookup.
pub(super) fn check() -> Result<(), KernelError> {
    let status = fs::read_to_string("/proc/self/status").map_err(|error| KernelError::Pin {
        action: "reading",
        path: "/proc/self/status".into(),
        error,
    })?;
    let effective = effective(&status);
    let has = |capability: u32| effective & (1 << capability) != 0;
    // The kernel takes CAP_SYS_ADMIN for either of the two that were split off it.
    let has_bpf = has(CAP_BPF) || has(CAP_SYS_ADMIN);
    let has_perfmon = has(CAP_PERFMON) || has(CAP_SYS_ADMIN);
    let needed = [(has_bpf, "CAP_BPF"), (has(CAP_NET_ADMIN), "CAP_NET_ADMIN"), (has_perfmon, "CAP_PERFMON")];
    let missing: Vec<&str> = needed.into_iter().filter_map(|(has, name)| (!has).then_some(name)).collect();
    if missing.is_empty() { Ok(()) } else { Err(KernelError::Capabilities { missing: missing.join(" and ") }) }
}

/// Reads the mask of effective capabilities out of /proc/self/status; none where it can't be read.
fn effective(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_capabilities_are_read() {
        assert_eq!(effective("Name:\tguard\nCapPrm:\tff\nCapEff:\t000001c000001000\n"), 0x1c0_0000_1000);
        assert_eq!(effective("Name:\tguard\n"), 0);
    }
}
