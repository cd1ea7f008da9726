//! What was measured, as text that is at once readable in a terminal and Markdown.

use std::fmt::Write as _;

use guard_tests::Family;

use super::{
    contender::Contender,
    daemon::Busy,
    goals::{Bound, GOALS, Goal, Mark},
    list::Entries,
    load::{Line, Load},
    scene::{Row, Setting, Subject},
    sources::Mix,
    table::{Table, grouped},
};

/// What packets cost, and first on which machine, and what guard's daemon has to do meanwhile if that was measured.
pub(super) fn packets(machine: &str, rows: &[Row], daemon: Option<&Busy>) -> String {
    let mut text = format!("{machine}.\n");
    let share = |subject| rows.iter().filter(|row| row.subject == subject).map(|row| row.times.minimum_ns()).min();
    if let Some(generator_ns) = share(Subject::Generator) {
        let _ = writeln!(text, "Of every figure {generator_ns} ns are the generator's own.");
    }
    if let Some(floor_ns) = share(Subject::Contender(Contender::BareDrop)) {
        let _ = writeln!(text, "Generator and delivery, down to a program that drops at once, take {floor_ns} ns.");
    }
    if let Some(Busy { cpu_ms_per_s, packets_per_s }) = daemon {
        let millions = packets_per_s / 1e6;
        let _ = writeln!(
            text,
            "While {millions:.1} million packets a second were blocked, guard's daemon used {cpu_ms_per_s:.1} ms of CPU a second, \
             which are in no figure."
        );
    }
    if !rows.is_empty() {
        let _ = write!(text, "\n{}### Ratios of minima\n\n{}", figures(rows), ratios(rows));
    }
    text
}

/// The nanoseconds of every row, a table for each family and kind of list.
fn figures(rows: &[Row]) -> String {
    let mut text = String::new();
    for family in Family::ALL {
        for (entries, name) in [(Entries::Prefixes, "prefixes"), (Entries::Addresses, "single addresses")] {
            let of_table = |row: &&Row| row.setting.family == family && row.setting.entries == entries;
            let rows: Vec<_> = rows.iter().filter(of_table).collect();
            if !rows.is_empty() {
                let _ = writeln!(text, "### {family}, {name}: ns a packet, minimum (median)\n\n{}", table_of(&rows));
            }
        }
    }
    text
}

fn table_of(rows: &[&Row]) -> String {
    let lengths = lengths(rows.iter().copied());
    let heading = ["contender".to_owned(), "sources".to_owned()];
    let mut table = Table::new(heading.into_iter().chain(lengths.iter().copied().map(grouped)));
    let mut subjects: Vec<Subject> = Vec::new();
    for row in rows {
        if !subjects.contains(&row.subject) {
            subjects.push(row.subject);
        }
    }
    for subject in subjects {
        for mix in Mix::ALL {
            let cell = |length: &usize| {
                let measured =
                    rows.iter().find(|row| row.subject == subject && row.mix == mix && row.setting.length == *length);
                measured.map_or(String::new(), |row| row.times.to_string())
            };
            let names = [subject.to_string(), mix.to_string()];
            table.push(names.into_iter().chain(lengths.iter().map(cell)));
        }
    }
    table.render()
}

/// Every ratio that guard is held to.
fn ratios(rows: &[Row]) -> String {
    let lengths = lengths(rows);
    let heading = ["ratio of minima".to_owned(), "sources".to_owned()];
    let mut table = Table::new(heading.into_iter().chain(lengths.iter().copied().map(grouped)));
    for goal in &GOALS {
        let judged: Vec<_> = lengths.iter().map(|length| goal.judge(rows, *length)).collect();
        if judged.iter().all(Option::is_none) {
            continue;
        }
        let names = [format!("{}: {} / {}", goal.family, goal.upper, goal.lower), goal.mix.to_string()];
        let cell = |judged: &Option<(f64, Option<Mark>)>| {
            judged.map_or(String::new(), |(ratio, mark)| format!("{ratio:.2}{}", mark.map_or("", Mark::text)))
        };
        table.push(names.into_iter().chain(judged.iter().map(cell)));
        for (name, bounds) in [("must", goal.must), ("should", goal.aim)] {
            if !bounds.is_empty() {
                table.push(bound_row(goal, name, bounds, &lengths));
            }
        }
    }
    table.render()
}

fn bound_row(goal: &Goal, name: &str, bounds: &[f64], lengths: &[usize]) -> Vec<String> {
    let of_length = |length: &usize| {
        let column = super::LENGTHS.iter().position(|known| known == length)?;
        bounds.get(column).map(f64::to_string)
    };
    let cells = lengths.iter().map(|length| of_length(length).unwrap_or_default());
    [format!("{name} be {}", goal.bound.text()), String::new()].into_iter().chain(cells).collect()
}

/// What loading a long list takes.
pub(super) fn loading(load: &Load) -> String {
    let mut table = Table::new(["a million IPv4 prefixes", "measured", "must be"].map(str::to_owned));
    for Line { name, figure, unit, bound } in load.lines() {
        let mark = bound.map_or("", |(bound, must)| bound.mark(figure, must, None).text());
        let bound = bound.map_or(String::new(), |(bound, must)| format!("{} {must}{unit}", bound.text()));
        table.push([name.to_owned(), format!("{figure:.2}{unit}{mark}"), bound]);
    }
    format!("\n### Loading\n\n{}", table.render())
}

impl Bound {
    fn text(self) -> &'static str {
        match self {
            Self::AtMost => "at most",
            Self::AtLeast => "at least",
        }
    }
}

impl Mark {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Miss => " MISS",
            Self::Reached => " ok",
            Self::Aim => " good",
        }
    }
}

fn lengths<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<usize> {
    let mut lengths: Vec<_> = rows.into_iter().map(|Row { setting: Setting { length, .. }, .. }| *length).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}
