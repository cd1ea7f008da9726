//! Commands that change a running guard, and those that show its lists.

mod prefix_file;
mod table;
mod view;

use std::process::ExitCode;

use crate::{
    cli::{Allow, AllowAdd, AllowRemove, Block, BlockAdd, BlockRemove, Lockdown, Sources},
    control::{self, Prefixes, Request},
    edit::{EditOutcome, EnforcedEdit},
    instance::Instance,
    live::List,
};
pub(crate) use prefix_file::BadFile;
pub(crate) use view::say;

/// `guard allow`.
pub(crate) fn allow(instance: &Instance, command: &Allow) -> anyhow::Result<ExitCode> {
    let list = List::Allow;
    match command {
        Allow::Add(AllowAdd { sources, service, ttl, about, force }) => {
            let request = |ips| Request::Add {
                list,
                ips,
                services: service.clone(),
                ttl: ttl.clone(),
                comment: about.comment.clone(),
                name: about.name.clone(),
                force: force.force,
            };
            change(instance, sources, request)
        }
        Allow::Remove(AllowRemove { sources, service, named, force }) => {
            let name = named.name.clone();
            let request = |ips| Request::Remove { list, ips, services: service.clone(), name, force: force.force };
            change(instance, sources, request)
        }
        Allow::List(output) => view::print(instance, list, output),
    }
}

/// `guard block`.
pub(crate) fn block(instance: &Instance, command: &Block) -> anyhow::Result<ExitCode> {
    let (list, services) = (List::Block, Vec::new());
    match command {
        Block::Add(BlockAdd { sources, dry_run: true, json, .. }) => dry_run(instance, sources, *json),
        Block::Add(BlockAdd { sources, ttl, about, force, .. }) => {
            let request = |ips| Request::Add {
                list,
                ips,
                services,
                ttl: ttl.clone(),
                comment: about.comment.clone(),
                name: about.name.clone(),
                force: force.force,
            };
            change(instance, sources, request)
        }
        Block::Remove(BlockRemove { sources, named, force }) => {
            let name = named.name.clone();
            change(instance, sources, |ips| Request::Remove { list, ips, services, name, force: force.force })
        }
        Block::List(output) => view::print(instance, list, output),
    }
}

/// `guard lockdown`; returns what it says.
pub(crate) fn lockdown(instance: &Instance, command: &Lockdown) -> anyhow::Result<String> {
    let Lockdown { except, ttl, lift, force } = command;
    let force = force.force;
    if *lift {
        return Ok(enforce(instance, Request::Lift { force })?.describe("no lockdown"));
    }
    let mut prefixes = Prefixes::default();
    except.iter().try_for_each(|prefix| prefixes.push(prefix)).map_err(anyhow::Error::msg)?;
    let warnings = prefixes.warnings();
    let mut enforced = enforce(instance, Request::Lockdown { except: prefixes, ttl: ttl.clone(), force })?;
    enforced.warn(warnings);
    let open = ["failsafe ports", "answers to own flows"].into_iter().chain(except.iter().map(String::as_str));
    let open = open.collect::<Vec<_>>().join(", ");
    let told = enforced.describe(&format!("lockdown{}: closed but for {open}", ends(ttl.as_deref())));
    Ok(format!("{told}\n`{}` ends it", instance.command("lockdown --lift")))
}

/// Has a list changed by what `request` makes of the sources, and says what came of it.
fn change(
    instance: &Instance,
    sources: &Sources,
    request: impl FnOnce(Prefixes) -> Request,
) -> anyhow::Result<ExitCode> {
    let prefixes = read(sources)?;
    let (only, warnings) = (prefixes.only(), prefixes.warnings());
    let request = request(prefixes);
    let ends = match &request {
        Request::Add { ttl, .. } => ends(ttl.as_deref()),
        _ => String::new(),
    };
    let mut enforced = enforce(instance, request)?;
    enforced.warn(warnings);
    say(enforced.describe(&format!("{}{ends}", enforced.changes.describe(only))))?;
    Ok(ExitCode::SUCCESS)
}

/// Says what lies under the sources, which stay as they are.
fn dry_run(instance: &Instance, sources: &Sources, json: bool) -> anyhow::Result<ExitCode> {
    let prefixes = read(sources)?;
    let warnings = prefixes.warnings();
    let under = control::under(instance, prefixes)?;
    if json {
        say(serde_json::to_string_pretty(&under)?)?;
    } else {
        say(under)?;
        warnings.iter().try_for_each(|warning| say(format_args!("warning: {warning}")))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read(sources: &Sources) -> anyhow::Result<Prefixes> {
    let mut prefixes = Prefixes::default();
    sources.prefixes.iter().try_for_each(|prefix| prefixes.push(prefix)).map_err(anyhow::Error::msg)?;
    if let Some(file) = &sources.file {
        prefix_file::read(file, &mut prefixes)?;
    }
    Ok(prefixes)
}

fn enforce(instance: &Instance, request: Request) -> anyhow::Result<EnforcedEdit> {
    match control::change(instance, request)? {
        EditOutcome::Enforced(enforced) => Ok(enforced),
        EditOutcome::Refused(refused) => Err(refused.into()),
    }
}

fn ends(ttl: Option<&str>) -> String {
    ttl.map(|ttl| format!(" for {ttl}")).unwrap_or_default()
}
