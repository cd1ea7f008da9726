//! The syntax of `--env-file`: `NAME=value` lines.
//!
//! A line may begin with `export`. Blank lines and lines that begin with `#` are skipped. A value may stand in single
//! quotes, where every character is itself, or in double quotes, where `\"` and `\\` are `"` and `\`; without quotes
//! it ends at ` #`. Values stand on one line, and nothing in them is expanded.

use super::faults::Quoted;

/// Reads a file's lines: the number of each that says something, from 1, and its name and value or why it has none.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (u32, Result<(&str, String), LineError>)> {
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        let line = line.trim();
        let says_nothing = line.is_empty() || line.starts_with('#');
        (!says_nothing).then(|| (number, parse_line(line)))
    })
}

/// Why a line is no assignment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    #[error("{} is not NAME=value", Quoted(.0))]
    NoAssignment(String),
    #[error("{} cannot name a variable", Quoted(.0))]
    Name(String),
    #[error("the quote that opens the value of {0} is not closed on its line")]
    Quote(String),
    #[error("text after the closing quote of {0}")]
    AfterQuote(String),
}

fn parse_line(line: &str) -> Result<(&str, String), LineError> {
    let assignment = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(line);
    let Some((name, value)) = assignment.split_once('=') else {
        return Err(LineError::NoAssignment(line.to_owned()));
    };
    let name = name.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(good) {
        return Err(LineError::Name(name.to_owned()));
    }
    parse_value(name, value.trim()).map(|value| (name, value))
}

fn parse_value(name: &str, text: &str) -> Result<String, LineError> {
    let quote = match text.chars().next() {
        Some(quote @ ('"' | '\'')) => quote,
        _ => return Ok(uncommented(text).to_owned()),
    };
    let mut value = String::new();
    let mut rest = text[1..].chars();
    loop {
        match rest.next() {
            None => return Err(LineError::Quote(name.to_owned())),
            Some(c) if c == quote => break,
            Some('\\') if quote == '"' && rest.as_str().starts_with(['"', '\\']) => value.extend(rest.next()),
            Some(c) => value.push(c),
        }
    }
    let after = rest.as_str().trim_start();
    if after.is_empty() || after.starts_with('#') { Ok(value) } else { Err(LineError::AfterQuote(name.to_owned())) }
}

/// Cuts a comment off a value without quotes: a `#` at its start or after white space.
fn uncommented(text: &str) -> &str {
    let starts_comment = |&(at, _): &(usize, &str)| at == 0 || text[..at].ends_with([' ', '\t']);
    let end = text.match_indices('#').find(starts_comment).map_or(text.len(), |(at, _)| at);
    text[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_good_line() {
        for (line, name, value) in [
            ("A=b", "A", "b"),
            ("A=", "A", ""),
            ("A=b=c", "A", "b=c"),
            ("export A=b", "A", "b"),
            ("export\tA=b", "A", "b"),
            ("exported=b", "exported", "b"),
            ("  A = b c  ", "A", "b c"),
            ("RATE-LIMIT-MAX=1", "RATE-LIMIT-MAX", "1"),
            ("spring.port=1", "spring.port", "1"),
            ("A='b \"c\" \\ #d'", "A", "b \"c\" \\ #d"),
            ("A=\"b \\\"c\\\" \\\\ \\n #d\"", "A", "b \"c\" \\ \\n #d"),
            ("A=\"b\" # c", "A", "b"),
            ("A=''", "A", ""),
            ("A=b # c", "A", "b"),
            ("A=b#c", "A", "b#c"),
            ("A=#c", "A", ""),
            ("A=it's", "A", "it's"),
        ] {
            let expected = vec![(1, Ok((name, value.to_owned())))];
            assert_eq!(lines(line).collect::<Vec<_>>(), expected, "{line}");
        }
    }

    #[test]
    fn counts_the_lines_that_say_nothing() {
        let text = "# a comment\r\n\r\nA=1\r\n   # another\n\tB=2";
        let expected = vec![(3, Ok(("A", "1".to_owned()))), (5, Ok(("B", "2".to_owned())))];
        assert_eq!(lines(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn refuses_other_lines_with_their_reason() {
        for (line, message) in [
            ("ALLOWED_IPS", "`ALLOWED_IPS` is not NAME=value"),
            ("10.0.0.1, 10.0.0.2", "`10.0.0.1, 10.0.0.2` is not NAME=value"),
            ("=b", "`` cannot name a variable"),
            ("1A=b", "`1A` cannot name a variable"),
            ("A B=c", "`A B` cannot name a variable"),
            ("A='b", "the quote that opens the value of A is not closed on its line"),
            ("A=\"b\\\"", "the quote that opens the value of A is not closed on its line"),
            ("A='b'c", "text after the closing quote of A"),
        ] {
            let (number, result) = lines(line).next().unwrap();
            assert_eq!((number, result.unwrap_err().to_string().as_str()), (1, message), "{line}");
        }
    }
}
