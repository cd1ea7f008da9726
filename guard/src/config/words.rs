//! How single values are written: choices, ports, names.

use crate::policy::{Port, Protocol, Word};

use super::faults::Quoted;

/// Why a text is not one of a few words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is none of {choices}", Quoted(value))]
pub(super) struct WordError {
    value: String,
    choices: String,
}

/// Reads one of a choice's words, in lower case only.
pub(super) fn parse_word<T: Word>(text: &str) -> Result<T, WordError> {
    T::ALL.iter().copied().find(|choice| choice.word() == text).ok_or_else(|| {
        let choices: Vec<String> = T::ALL.iter().map(|choice| format!("`{}`", choice.word())).collect();
        WordError { value: text.to_owned(), choices: choices.join(", ") }
    })
}

/// Why a text is no port.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PortError {
    #[error("write `tcp/{0}` or `udp/{0}`")]
    NoProtocol(u16),
    #[error("the protocol comes first: write `{0}`")]
    Reversed(Port),
    #[error("protocol {} is neither `tcp` nor `udp`", Quoted(.0))]
    Protocol(String),
    #[error("{} is not a number", Quoted(.0))]
    Number(String),
    #[error("port 0 cannot be guarded")]
    Zero,
    #[error("number over 65535")]
    TooHigh,
    #[error("write it as `tcp/3000` or `udp/3000`")]
    Form,
}

/// Reads a port: `tcp/3000`.
pub(super) fn parse_port(text: &str) -> Result<Port, PortError> {
    let text = text.trim();
    let Some((first, second)) = text.split_once('/') else {
        return Err(parse_number(text).map_or(PortError::Form, PortError::NoProtocol));
    };
    match (parse_word::<Protocol>(first), parse_word::<Protocol>(second)) {
        (Ok(protocol), _) => Ok(Port { protocol, number: parse_number(second)? }),
        (Err(_), Ok(protocol)) => match parse_number(first) {
            Ok(number) => Err(PortError::Reversed(Port { protocol, number })),
            Err(_) => Err(PortError::Form),
        },
        (Err(_), Err(_)) => Err(PortError::Protocol(first.to_owned())),
    }
}

fn parse_number(text: &str) -> Result<u16, PortError> {
    // A sign or a leading zero would parse, and is a typing error.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return Err(PortError::Number(text.to_owned()));
    }
    match text.parse() {
        Ok(0) => Err(PortError::Zero),
        Ok(number) => Ok(number),
        Err(_) => Err(PortError::TooHigh),
    }
}

/// Says whether a text can name a service or a set.
pub(super) fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// What a name must look like, for messages.
pub(super) const NAME_FORM: &str = "a name has 1 to 32 of A-Z, a-z, 0-9, `_`, `.` and `-`";

#[cfg(test)]
mod tests {
    use crate::policy::{DefaultVerdict, Mode, XdpMode};

    use super::*;

    #[test]
    fn reads_every_word() {
        assert_eq!(parse_word(" enforce".trim()), Ok(Mode::Enforce));
        assert_eq!(parse_word("monitor"), Ok(Mode::Monitor));
        assert_eq!(parse_word("pass"), Ok(DefaultVerdict::Pass));
        assert_eq!(parse_word("drop"), Ok(DefaultVerdict::Drop));
        assert_eq!(parse_word("auto"), Ok(XdpMode::Auto));
        assert_eq!(parse_word("native"), Ok(XdpMode::Native));
        assert_eq!(parse_word("generic"), Ok(XdpMode::Generic));
    }

    #[test]
    fn names_the_choices_where_none_fits() {
        let error = parse_word::<Mode>("Enforce").unwrap_err();
        assert_eq!(error.to_string(), "`Enforce` is none of `enforce`, `monitor`");
        let error = parse_word::<XdpMode>("skb").unwrap_err();
        assert_eq!(error.to_string(), "`skb` is none of `auto`, `native`, `generic`");
    }

    #[test]
    fn reads_ports() {
        assert_eq!(parse_port("tcp/3000"), Ok(Port { protocol: Protocol::Tcp, number: 3000 }));
        assert_eq!(parse_port(" udp/65535 "), Ok(Port { protocol: Protocol::Udp, number: 65535 }));
    }

    #[test]
    fn refuses_other_ports_with_the_right_form() {
        for (text, message) in [
            ("3000/tcp", "the protocol comes first: write `tcp/3000`"),
            ("3000", "write `tcp/3000` or `udp/3000`"),
            ("", "write it as `tcp/3000` or `udp/3000`"),
            ("http", "write it as `tcp/3000` or `udp/3000`"),
            ("tcp:3000", "write it as `tcp/3000` or `udp/3000`"),
            ("x/tcp", "write it as `tcp/3000` or `udp/3000`"),
            ("sctp/3000", "protocol `sctp` is neither `tcp` nor `udp`"),
            ("TCP/3000", "protocol `TCP` is neither `tcp` nor `udp`"),
            ("tcp/0", "port 0 cannot be guarded"),
            ("tcp/65536", "number over 65535"),
            ("tcp/", "`` is not a number"),
            ("tcp/http", "`http` is not a number"),
            ("tcp/+80", "`+80` is not a number"),
            ("tcp/080", "`080` is not a number"),
            ("tcp/3000-3010", "`3000-3010` is not a number"),
            ("tcp/udp", "`udp` is not a number"),
        ] {
            assert_eq!(parse_port(text).unwrap_err().to_string(), message, "{text:?}");
        }
    }

    #[test]
    fn tells_names_from_other_text() {
        for (text, expected) in [
            ("a", true),
            ("Web_1.b-c", true),
            (&"x".repeat(32), true),
            (&"x".repeat(33), false),
            ("", false),
            ("a b", false),
            ("a/b", false),
            ("é", false),
        ] {
            assert_eq!(is_name(text), expected, "{text:?}");
        }
    }
}
