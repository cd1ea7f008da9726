//! What the command line takes, and what it refuses.

use clap::{CommandFactory as _, error::ErrorKind};

use super::*;

fn parse(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(["guard"].into_iter().chain(line.split_whitespace())).map(|cli| cli.command)
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn changes_are_taken_in_every_form() {
    for line in [
        "allow add 10.0.0.1",
        "allow add 10.0.0.1 2001:db8::/48 [::1] --service web --service api --ttl 2h --comment x --name home --force",
        "allow add --for 2h 10.0.0.1",
        "allow add --file - --name office",
        "allow add 10.0.0.1 --file list.txt",
        "allow remove 10.0.0.1 --service web --force",
        "allow remove --name home --service web",
        "allow remove --file list.txt",
        "allow list",
        "allow list --json",
        "block add 10.0.0.1 --for 15m --comment x --name scanner",
        "block add 10.0.0.1 --ttl 15m",
        "block remove --name scanner --force",
        "block list --json --instance other",
        "lockdown",
        "lockdown --except 10.0.0.1 --except 2001:db8::/48 --for 2h --force",
        "lockdown --lift --force",
        "run --force",
        "reload --force",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
}

#[test]
fn mistakes_are_named() {
    use ErrorKind::*;
    for (line, kind, named) in [
        ("allow add", MissingRequiredArgument, "PREFIX"),
        ("allow remove", MissingRequiredArgument, "--name"),
        ("block add", MissingRequiredArgument, "--file"),
        ("allow add 10.0.0.0/33", ValueValidation, "length over 32"),
        ("allow add 10.0.0.1 example.org", ValueValidation, "example.org"),
        ("block remove 010.0.0.1", ValueValidation, "leading zero"),
        ("lockdown --except any", ValueValidation, "any"),
        ("allow add 10.0.0.1 --ttl soon", ValueValidation, "soon"),
        ("allow add 10.0.0.1 --ttl 100ms", ValueValidation, "100ms"),
        ("block add 10.0.0.1 --for 400d", ValueValidation, "400d"),
        ("allow add 10.0.0.1 --ttl 1h --for 1h", ArgumentConflict, "--ttl"),
        ("block add 10.0.0.1 --service web", UnknownArgument, "--service"),
        ("block remove 10.0.0.1 --service web", UnknownArgument, "--service"),
        ("allow remove 10.0.0.1 --name home", ArgumentConflict, "--name"),
        ("allow remove --file x --name home", ArgumentConflict, "--name"),
        ("lockdown --lift --for 1h", ArgumentConflict, "--lift"),
        ("lockdown --lift --except 10.0.0.1", ArgumentConflict, "--lift"),
        ("lockdown 10.0.0.1", UnknownArgument, "10.0.0.1"),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.kind(), kind, "{line}: {error}");
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(named), "{line}: {error}");
    }
    let long = ["guard", "allow", "add", "10.0.0.1", "--name", &"x".repeat(65)].map(str::to_owned);
    assert_eq!(Cli::try_parse_from(long).unwrap_err().kind(), ValueValidation);
}
