//! What leaves guard: blocked packets, bans by the machine and connections that were closed, as lines.

mod ban_line;
mod closed_line;
mod eve;
mod log_file;
mod merge;
mod writer;

pub(crate) use ban_line::BanLine;
pub(crate) use closed_line::{Cause, ClosedLine};
pub(crate) use eve::{BlockLine, Names, StatsLine};
pub(crate) use log_file::LogFile;
pub(crate) use merge::Merger;
pub(crate) use writer::{Outputs, Writer, WriterError};
