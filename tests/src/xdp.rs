//! XDP programs on interfaces: which one is there, and one that is not guard's to stand in its way.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use serde_json::Value;

use crate::{bpf::bpf, link::Interface};

/// Commands of bpf(2), and the program and attach type they are given (linux/bpf.h).
const PROG_LOAD: libc::c_int = 5;
const LINK_CREATE: libc::c_int = 28;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_TYPE_XDP: u32 = 37;

/// `r0 = XDP_PASS; exit`.
static PASS: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 2, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];

/// The kernel's number of the program on an interface.
pub fn program_on(interface: &Interface) -> Option<u64> {
    let listing = interface.host().ip(&["-json", "-details", "link", "show", "dev", interface.name()]);
    let listing: Value = serde_json::from_str(&listing).expect("`ip -json` prints JSON");
    listing[0]["xdp"]["prog"]["id"].as_u64()
}

/// A program that passes every packet, attached until dropped.
pub struct Stranger {
    _link: OwnedFd,
}

impl Stranger {
    /// Attaches to an interface that has no program.
    pub fn attach(interface: &Interface) -> Self {
        let index = interface.index();
        let link = interface.host().enter(|| link(&load()?, index));
        Self { _link: link.unwrap_or_else(|error| panic!("attach a program to {interface:?}: {error}")) }
    }
}

fn load() -> io::Result<OwnedFd> {
    /// The first fields of `union bpf_attr` for `BPF_PROG_LOAD`.
    #[repr(C)]
    struct Load {
        program_type: u32,
        instruction_count: u32,
        instructions: u64,
        license: u64,
    }
    let load = Load {
        program_type: PROG_TYPE_XDP,
        instruction_count: PASS.len() as u32,
        instructions: PASS.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
    };
    descriptor(PROG_LOAD, &load)
}

fn link(program: &OwnedFd, interface: u32) -> io::Result<OwnedFd> {
    /// The first fields of `union bpf_attr` for `BPF_LINK_CREATE`.
    #[repr(C)]
    struct Create {
        program: i32,
        interface: u32,
        attach_type: u32,
        flags: u32,
    }
    let create = Create { program: program.as_raw_fd(), interface, attach_type: ATTACH_TYPE_XDP, flags: 0 };
    descriptor(LINK_CREATE, &create)
}

/// Calls bpf(2) with a command that answers with a descriptor.
fn descriptor<A>(command: libc::c_int, attributes: &A) -> io::Result<OwnedFd> {
    // SAFETY: both commands above are told the size of the whole `repr(C)` value without padding that they are given,
    // write nothing to it, and the only memory it names are statics of the length it gives.
    let descriptor = unsafe { bpf(command, std::ptr::from_ref(attributes).cast_mut(), size_of::<A>()) }?;
    // SAFETY: both commands above answer with a descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
