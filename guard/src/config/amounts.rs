//! How amounts are written: whole numbers, sizes, durations.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

use crate::policy::Limit;

use super::faults::Quoted;

/// For how long something may hold that ends.
const TTLS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(366 * 24);

/// Why a text is not the amount that is wanted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AmountError {
    #[error("{} is no whole number", Quoted(.0))]
    Number(String),
    #[error("{} is under {least}", Quoted(.text))]
    Under { text: String, least: u64 },
    #[error("{} is over {most}", Quoted(.text))]
    Over { text: String, most: u64 },
    #[error("{} is no size: write it as `65536`, `64KiB` or `10MB`", Quoted(.0))]
    Size(String),
    #[error("{} is no duration: write it as `100ms`, `60s`, `15m`, `1h30m` or `1d`", Quoted(.0))]
    Duration(String),
    #[error("{} is not in whole ms from 1 ms to 366 days", Quoted(.0))]
    Window(String),
    #[error("{} is not from 1 s to 366 days", Quoted(.0))]
    Ttl(String),
}

/// Reads a whole number of a range.
pub(super) fn parse_number(text: &str, range: RangeInclusive<u64>) -> Result<u64, AmountError> {
    let number = text.trim().parse().map_err(|_| AmountError::Number(text.to_owned()))?;
    within(number, text, range)
}

/// Looks whether a number, written as `text`, is in a range.
pub(super) fn within(number: i128, text: &str, range: RangeInclusive<u64>) -> Result<u64, AmountError> {
    let ((least, most), text) = (range.into_inner(), text.to_owned());
    if number < least.into() {
        return Err(AmountError::Under { text, least });
    }
    u64::try_from(number).ok().filter(|number| *number <= most).ok_or(AmountError::Over { text, most })
}

/// Reads a number of bytes: `64KiB`, of 1,024 each, `10MB`, of 1,000 each, or without a unit.
pub(super) fn parse_size(text: &str, range: RangeInclusive<u64>) -> Result<u64, AmountError> {
    let no_size = || AmountError::Size(text.to_owned());
    let trimmed = text.trim();
    let (number, unit) = trimmed.split_at(trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len()));
    let factor: i128 = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(no_size()),
    };
    let number: i128 = number.parse().map_err(|_| no_size())?;
    within(number.saturating_mul(factor), text, range)
}

/// Reads the window of a limit.
pub(super) fn parse_window(text: &str) -> Result<Duration, AmountError> {
    let window = parse_duration(text)?;
    let whole_ms = window.subsec_nanos().is_multiple_of(1_000_000);
    if whole_ms && Limit::WINDOWS.contains(&window) { Ok(window) } else { Err(AmountError::Window(text.to_owned())) }
}

/// Reads for how long something holds.
pub(super) fn parse_ttl(text: &str) -> Result<Duration, AmountError> {
    let ttl = parse_duration(text)?;
    if TTLS.contains(&ttl) { Ok(ttl) } else { Err(AmountError::Ttl(text.to_owned())) }
}

fn parse_duration(text: &str) -> Result<Duration, AmountError> {
    let span: Result<Span, _> = text.trim().parse();
    let duration = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    duration.and_then(Duration::try_from).map_err(|_| AmountError::Duration(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers() {
        for (text, expected) in [
            ("1", Ok(1)),
            (" 9 ", Ok(9)),
            ("0", Err("`0` is under 1")),
            ("-5", Err("`-5` is under 1")),
            ("10", Err("`10` is over 9")),
            ("99999999999999999999999", Err("`99999999999999999999999` is over 9")),
            ("1.5", Err("`1.5` is no whole number")),
            ("1e3", Err("`1e3` is no whole number")),
            ("ten", Err("`ten` is no whole number")),
        ] {
            let read = parse_number(text, 1..=9).map_err(|error| error.to_string());
            assert_eq!(read, expected.map_err(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn reads_sizes() {
        for (text, expected) in [
            ("65536", 65_536),
            ("1514B", 1_514),
            ("64KiB", 65_536),
            (" 64 KiB ", 65_536),
            ("10MB", 10_000_000),
            ("1kB", 1_000),
            ("1KB", 1_000),
            ("1MiB", 1_048_576),
            ("2GB", 2_000_000_000),
            ("2GiB", 2_147_483_648),
            ("3TB", 3_000_000_000_000),
            ("1TiB", 1_099_511_627_776),
        ] {
            assert_eq!(parse_size(text, 1..=u64::MAX), Ok(expected), "{text:?}");
        }
        for text in ["", "KiB", "64kib", "64K", "10Mb", "10Mbit", "1.5MB", "-1MB", "1 M B", "ten"] {
            assert_eq!(parse_size(text, 1..=u64::MAX), Err(AmountError::Size(text.to_owned())), "{text:?}");
        }
        assert_eq!(parse_size("0MB", 1..=9), Err(AmountError::Under { text: "0MB".to_owned(), least: 1 }));
        assert_eq!(parse_size("1KiB", 1..=1023), Err(AmountError::Over { text: "1KiB".to_owned(), most: 1023 }));
        let huge = "99999999999999999999TiB";
        assert_eq!(parse_size(huge, 1..=u64::MAX), Err(AmountError::Over { text: huge.to_owned(), most: u64::MAX }));
    }

    #[test]
    fn reads_windows() {
        for (text, ms) in [
            ("100ms", 100),
            ("1ms", 1),
            ("60s", 60_000),
            ("1.5s", 1_500),
            (" 15m ", 900_000),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("2w", 14 * 86_400_000),
            ("366d", 366 * 86_400_000),
        ] {
            assert_eq!(parse_window(text), Ok(Duration::from_millis(ms)), "{text:?}");
        }
        for text in ["", "60", "s", "60 x", "-60s", "60s ago", "1mo", "1y", "ten seconds"] {
            assert_eq!(parse_window(text), Err(AmountError::Duration(text.to_owned())), "{text:?}");
        }
        for text in ["0s", "1us", "1.5ms", "367d", "366d1ms"] {
            assert_eq!(parse_window(text), Err(AmountError::Window(text.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn reads_how_long_something_holds() {
        for (text, seconds) in [("1s", 1), (" 2h ", 7_200), ("1d12h", 129_600), ("366d", 366 * 86_400)] {
            assert_eq!(parse_ttl(text), Ok(Duration::from_secs(seconds)), "{text:?}");
        }
        for text in ["0s", "999ms", "366d1s", "53w"] {
            assert_eq!(parse_ttl(text), Err(AmountError::Ttl(text.to_owned())), "{text:?}");
        }
        assert_eq!(parse_ttl("60"), Err(AmountError::Duration("60".to_owned())));
    }
}
