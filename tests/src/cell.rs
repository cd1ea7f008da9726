//! The matrix that end-to-end tests run through: both IP families, XDP in the driver and in the stack.

use std::{fmt, thread};

/// An IP family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// Picks what belongs to this family.
    pub fn pick<T>(self, v4: T, v6: T) -> T {
        match self {
            Self::V4 => v4,
            Self::V6 => v6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pick("IPv4", "IPv6"))
    }
}

/// One combination of the matrix.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    pub family: Family,
    /// `native` or `generic`, as the configuration has it.
    pub xdp_mode: &'static str,
}

impl Cell {
    /// Picks what belongs to this cell's family.
    pub fn pick<T>(self, v4: T, v6: T) -> T {
        self.family.pick(v4, v6)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.xdp_mode)
    }
}

/// Runs a test in all cells at the same time; panics with the names of those in which it failed.
pub fn in_each_cell(test: impl Fn(Cell) + Sync) {
    in_each_of(&["native", "generic"], &test);
}

/// Runs a test in the native cells, as [`in_each_cell`] does: for what is decided behind the choice of the XDP mode.
pub fn in_each_family(test: impl Fn(Cell) + Sync) {
    in_each_of(&["native"], &test);
}

fn in_each_of(xdp_modes: &[&'static str], test: &(impl Fn(Cell) + Sync)) {
    let cells = xdp_modes.iter().map(|xdp_mode| Family::ALL.map(|family| Cell { family, xdp_mode }));
    let failed: Vec<String> = thread::scope(|scope| {
        let start = |cell: Cell| {
            let named = thread::Builder::new().name(cell.to_string());
            (cell, named.spawn_scoped(scope, move || test(cell)).expect("a thread can be started"))
        };
        let running: Vec<_> = cells.flatten().map(start).collect();
        running.into_iter().filter_map(|(cell, running)| running.join().is_err().then(|| cell.to_string())).collect()
    });
    assert!(failed.is_empty(), "failed in {}", failed.join(" and "));
}
