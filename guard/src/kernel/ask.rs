//! Programs that are never attached, and run for what they are asked to do.

use aya::programs::{ProgramError, TestRun as _, TestRunOptions, Xdp};
use guard_common::request::Request;

/// Has a program do something, on the CPU on which this thread is.
pub(super) fn ask(program: &Xdp, request: &impl Request) -> Result<(), ProgramError> {
    let frame = request.to_frame();
    let mut options = TestRunOptions::new();
    options.data_in = Some(&frame);
    program.test_run(options).map(drop)
}
