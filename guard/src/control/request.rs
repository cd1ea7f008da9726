//! What can be asked, as it is sent, and what it comes to once it is checked.

use std::{collections::BTreeSet, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Prefixes;
use crate::{
    config::parse_ttl,
    live::{Addition, Edit, List, Removal},
    under,
};

/// The longest comment, in bytes.
const COMMENT_MAX: usize = 1000;

/// The longest name of an entry, in bytes.
const NAME_MAX: usize = 64;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    Status,
    Reload {
        /// Whether lists may lose most of their entries, and login sessions may be cut.
        #[serde(default)]
        force: bool,
    },
    Add {
        list: List,
        ips: Prefixes,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        services: Vec<String>,
        /// For how long: `2h`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(default)]
        force: bool,
    },
    Remove {
        list: List,
        #[serde(default, skip_serializing_if = "Prefixes::is_empty")]
        ips: Prefixes,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        services: Vec<String>,
        /// In place of `ips`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(default)]
        force: bool,
    },
    Lockdown {
        #[serde(default, skip_serializing_if = "Prefixes::is_empty")]
        except: Prefixes,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<String>,
        #[serde(default)]
        force: bool,
    },
    Lift {
        #[serde(default)]
        force: bool,
    },
    List {
        list: List,
    },
    /// What lies under prefixes that are to be blocked.
    Under {
        ips: Prefixes,
    },
}

/// A change to whether there is a lockdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LockdownRequest {
    /// Only failsafe ports, own flows and these prefixes, each once, for so long or until it is lifted. In place of a lockdown
    /// that is in force.
    Begin {
        except: Vec<IpNet>,
        ttl: Option<Duration>,
    },
    Lift,
}

/// A request that makes sense.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Checked {
    Status,
    Reload { force: bool },
    Edit { edit: Edit, force: bool, warnings: Vec<String> },
    Lockdown { request: LockdownRequest, force: bool, warnings: Vec<String> },
    List(List),
    Under(Vec<IpNet>),
}

impl Request {
    /// Checks what can be checked without the policy.
    pub(super) fn check(self) -> Result<Checked, String> {
        Ok(match self {
            Self::Status => Checked::Status,
            Self::Reload { force } => Checked::Reload { force },
            Self::Add { list, ips, services, ttl, comment, name, force } => {
                if ips.is_empty() {
                    return Err("no prefixes to add".to_owned());
                }
                if list == List::Block && !services.is_empty() {
                    return Err(
                        "who is blocked is blocked from every service: `services` is not for this list".to_owned()
                    );
                }
                let warnings = ips.warnings();
                let addition = Addition {
                    list,
                    prefixes: ips.into_unique(),
                    services: names_of(services)?,
                    ttl: ttl.as_deref().map(parse_ttl).transpose()?,
                    comment: comment.as_deref().map(parse_comment).transpose()?,
                    name: name.as_deref().map(parse_name).transpose()?,
                };
                Checked::Edit { edit: Edit::Add(addition), force, warnings }
            }
            Self::Remove { list, ips, services, name, force } => {
                if ips.is_empty() == name.is_none() {
                    return Err("what is to be removed is named by `ips` or by `name`, one of both".to_owned());
                }
                let warnings = ips.warnings();
                let removal = Removal {
                    list,
                    prefixes: ips.into_unique(),
                    services: names_of(services)?,
                    name: name.as_deref().map(parse_name).transpose()?,
                };
                Checked::Edit { edit: Edit::Remove(removal), force, warnings }
            }
            Self::Lockdown { except, ttl, force } => {
                let warnings = except.warnings();
                let ttl = ttl.as_deref().map(parse_ttl).transpose()?;
                let request = LockdownRequest::Begin { except: except.into_unique(), ttl };
                Checked::Lockdown { request, force, warnings }
            }
            Self::Lift { force } => Checked::Lockdown { request: LockdownRequest::Lift, force, warnings: Vec::new() },
            Self::List { list } => Checked::List(list),
            Self::Under { ips } => {
                let prefixes = ips.into_unique();
                if !(1..=under::PREFIXES_MAX).contains(&prefixes.len()) {
                    let (given, most) = (prefixes.len(), under::PREFIXES_MAX);
                    return Err(format!("{given} prefixes: 1 to {most} are looked at together"));
                }
                Checked::Under(prefixes)
            }
        })
    }
}

/// Accepts a comment: text for people, on one line.
pub(crate) fn parse_comment(text: &str) -> Result<String, String> {
    parse_line(text, "a comment", COMMENT_MAX)
}

/// Accepts the name of an entry.
pub(crate) fn parse_name(text: &str) -> Result<String, String> {
    parse_line(text, "a name", NAME_MAX)
}

fn parse_line(text: &str, what: &str, most: usize) -> Result<String, String> {
    let text = text.trim();
    if (1..=most).contains(&text.len()) && !text.contains(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(format!("{what} is one line of 1 to {most} bytes"))
    }
}

/// Accepts names of services, whether or not there are such; refusals and logs repeat them.
fn names_of(services: Vec<String>) -> Result<Vec<String>, String> {
    let names = services.iter().map(|name| parse_line(name, "the name of a service", NAME_MAX));
    names.collect::<Result<BTreeSet<_>, _>>().map(Vec::from_iter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Prefixes {
        let mut prefixes = Prefixes::default();
        texts.iter().for_each(|text| prefixes.push(text).unwrap());
        prefixes
    }

    #[test]
    fn what_is_sent_is_what_is_read() {
        let (list, force) = (List::Allow, true);
        let (none, name) = (Prefixes::default(), Some("home".to_owned()));
        for (request, text) in [
            (Request::Status, r#""status""#),
            (Request::Reload { force }, r#"{"reload":{"force":true}}"#),
            (
                Request::Add {
                    list,
                    ips: prefixes(&["10.0.0.1", "2001:db8::/48"]),
                    services: vec!["web".to_owned()],
                    ttl: Some("2h".to_owned()),
                    comment: Some("x".to_owned()),
                    name: name.clone(),
                    force,
                },
                r#"{"add":{"list":"allow","ips":["10.0.0.1/32","2001:db8::/48"],"services":["web"],"ttl":"2h","comment":"x","name":"home","force":true}}"#,
            ),
            (
                Request::Remove { list: List::Block, ips: none.clone(), services: Vec::new(), name, force: false },
                r#"{"remove":{"list":"block","name":"home","force":false}}"#,
            ),
            (
                Request::Lockdown { except: prefixes(&["10.0.0.1"]), ttl: None, force: false },
                r#"{"lockdown":{"except":["10.0.0.1/32"],"force":false}}"#,
            ),
            (Request::Lift { force }, r#"{"lift":{"force":true}}"#),
            (Request::List { list }, r#"{"list":{"list":"allow"}}"#),
            (Request::Under { ips: prefixes(&["10.0.0.0/24"]) }, r#"{"under":{"ips":["10.0.0.0/24"]}}"#),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request, "{text}");
        }
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        for (text, expected) in [
            (r#"{"reload":{}}"#, Request::Reload { force: false }),
            (r#"{"lift":{}}"#, Request::Lift { force: false }),
            (r#"{"lockdown":{}}"#, Request::Lockdown { except: Prefixes::default(), ttl: None, force: false }),
        ] {
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_repeated_in_logs_is_one_line() {
        for (part, expected) in [
            (r#""name":"home""#, None),
            (r#""name":"home\nERROR all is lost""#, Some("a name is one line")),
            (r#""name":"\u009b2J""#, Some("a name is one line")),
            (r#""name":"home","services":["web","api","web"]"#, None),
            (r#""name":"home","services":["web\nERROR"]"#, Some("the name of a service is one line")),
        ] {
            let text = format!(r#"{{"remove":{{"list":"allow",{part}}}}}"#);
            let request: Request = serde_json::from_str(&text).unwrap();
            match (request.check(), expected) {
                (Ok(Checked::Edit { edit: Edit::Remove(removal), .. }), None) => {
                    assert!(removal.services.is_empty() || removal.services == ["api", "web"], "{removal:?}");
                }
                (Err(error), Some(expected)) => assert!(error.starts_with(expected), "{text}: {error}"),
                (checked, _) => panic!("{text}: {checked:?}"),
            }
        }
    }

    #[test]
    fn comments_and_names_are_one_line() {
        for (text, accepted) in [
            ("home", Some("home")),
            (" über uns ", Some("über uns")),
            ("", None),
            ("  ", None),
            ("a\nb", None),
            ("a\u{1b}[2J", None),
            (&"x".repeat(NAME_MAX), Some(&*"x".repeat(NAME_MAX))),
            (&"x".repeat(NAME_MAX + 1), None),
        ] {
            assert_eq!(parse_name(text).ok().as_deref(), accepted, "{text:?}");
        }
        assert!(
            parse_comment(&"x".repeat(COMMENT_MAX)).is_ok() && parse_comment(&"x".repeat(COMMENT_MAX + 1)).is_err()
        );
    }
}
