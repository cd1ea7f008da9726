//! What the embedded object must hold, looked at without any privilege; and the program in the kernel, run on frames that
//! no network carries.

mod connections;
pub(crate) mod frames;
pub(super) mod limits;
mod lists;
pub(crate) mod machine;

use aya_obj::{Object, ProgramSection};

use super::*;

fn object() -> Object {
    Object::parse(OBJECT).unwrap()
}

#[test]
fn every_shared_name_is_in_the_object() {
    let object = object();
    for map in names::MAPS {
        assert!(object.maps.contains_key(map), "map {map}");
        assert!(map.len() <= 15, "{map} does not fit a map's name in the kernel");
    }
    for program in [
        names::PROGRAM_GUARD,
        names::PROGRAM_FLUSH,
        names::PROGRAM_ADD,
        names::PROGRAM_EGRESS,
        names::PROGRAM_SOCKETS,
        names::PROGRAM_COUNT,
    ] {
        assert!(object.programs.contains_key(program), "program {program}");
    }
}

#[test]
fn the_program_takes_frames_in_several_pages() {
    let section = &object().programs[names::PROGRAM_GUARD].section;
    assert!(matches!(section, ProgramSection::Xdp { frags: true, .. }), "{section:?}");
}

#[test]
fn the_object_is_free_software_to_the_kernel_and_carries_btf() {
    let object = object();
    assert_eq!(object.license.to_str(), Ok("Dual MIT/GPL"));
    assert!(object.btf.is_some(), "BTF");
    assert!(object.btf_ext.is_some(), "function and line info");
}
