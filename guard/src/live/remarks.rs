//! What is said about single entries: of many only the first.

/// How many are said.
const MOST: usize = 100;

/// Lines of which the first are kept.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    kept: Vec<String>,
    more: usize,
}

impl Remarks {
    pub(super) fn add(&mut self, remark: impl FnOnce() -> String) {
        if self.kept.len() < MOST { self.kept.push(remark()) } else { self.more += 1 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Returns the lines, and one that says how many more there would be.
    pub(super) fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.kept.push(format!("and {} more", self.more));
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_the_first_are_said() {
        for (count, last) in [(1, "0"), (100, "99"), (101, "and 1 more"), (1000, "and 900 more")] {
            let mut remarks = Remarks::default();
            (0..count).for_each(|number| remarks.add(|| number.to_string()));
            assert_eq!(remarks.finish().pop().as_deref(), Some(last), "{count}");
        }
    }
}
