//! What leaves guard: blocked packets, as lines.

mod eve;
mod log_file;
mod merge;
mod writer;

pub(crate) use eve::{BlockLine, Names, StatsLine};
pub(crate) use log_file::LogFile;
pub(crate) use merge::Merger;
pub(crate) use writer::{Outputs, Writer, WriterError};
