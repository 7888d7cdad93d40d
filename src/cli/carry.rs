//! `larder import` and `larder export`: stores on their way in and out.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    config::Given,
    transfer::{self, Api, Imported, Naming, Plan, Remote, Report, Size, Source},
};

use super::{
    exit, http, output,
    target::{MissingFolder, Target},
};

/// The variable that says who asks another server.
const FROM_TOKEN: &str = "LARDER_FROM_TOKEN";

/// Maximum number of findings that are shown before an import; all of them are shown behind it.
const MAX_ANNOUNCED: usize = 20;

/// Where stores come from, and what becomes of them.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArguments {
    /// An exported folder or ZIP file, or a storage folder of Crawlee or the Apify SDKs (with `key_value_stores` in it)
    #[arg(value_name = "PATH", required_unless_present = "from", conflicts_with = "from")]
    path: Option<PathBuf>,
    /// Another server of the same API, as <https://api.apify.com>
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Who asks it; better in `LARDER_FROM_TOKEN`, as others on this machine see arguments
    #[arg(long, value_name = "TOKEN", requires = "from")]
    token: Option<String>,
    /// A store there, by id, ~name or user~name; may be given often; all with a name if none is
    #[arg(long, value_name = "STORE", requires = "from")]
    store: Vec<String>,
    /// Stores without a name, too
    #[arg(long, requires = "from", conflicts_with = "store")]
    unnamed: bool,
    /// What to call the store here, if it is one
    #[arg(long)]
    name: Option<String>,
    /// Show what would be made and what would be left out; write nothing, and ask no server but that of --from
    #[arg(long)]
    dry_run: bool,
    /// Map refused names of stores and keys of a storage folder: each refused character becomes a hyphen, a store's name
    /// loses hyphens at its ends, and what is too long is cut
    #[arg(long)]
    map_names: bool,
    /// Where it is written down how far it has come
    #[arg(long, value_name = "FILE", default_value = "larder-import.progress")]
    progress: PathBuf,
}

/// Imports stores.
pub(super) fn import(arguments: ImportArguments, url: Option<String>, given: &Given) -> ExitCode {
    let ImportArguments { path, from, token, store, unnamed, name, dry_run, map_names, progress } = arguments;
    let naming = if map_names { Naming::Map } else { Naming::Keep };
    let source: Result<Box<dyn Source>, String> = match (path, from) {
        (Some(path), _) => transfer::open(&path, naming).map_err(|error| error.to_string()),
        (None, Some(from)) => match token.or_else(|| given.variable(FROM_TOKEN).map(str::to_owned)) {
            Some(token) => http::agent(&from, given).map(|agent| -> Box<dyn Source> {
                Box::new(Remote::new(Api::new(agent, &from, &token), store, unnamed))
            }),
            None => Err(format!("a token for {from} is needed: set {FROM_TOKEN}")),
        },
        (None, None) => Err("there is nothing to import".to_owned()),
    };
    let planned = source.and_then(|source| {
        let plan = Plan::new(source.as_ref(), name.as_deref(), naming).map_err(|error| output::whole(&error))?;
        Ok((source, plan))
    });
    let (source, plan) = match planned {
        Ok(planned) => planned,
        Err(error) => {
            output::print_error(&error);
            return exit::failed();
        }
    };
    if dry_run {
        return show(&plan);
    }
    announce(&plan.report);
    with(url, given, MissingFolder::Create, |api| {
        let Imported { stores, size, report, outcome } = transfer::import(api, source.as_ref(), plan, &progress);
        tell("imported", stores, size);
        let complete = show_report(&report);
        outcome.map_err(|error| output::whole(&error)).and(complete)
    })
}

/// Exports a store.
pub(super) fn export(store: &str, to: &Path, url: Option<String>, given: &Given) -> ExitCode {
    with(url, given, MissingFolder::Refuse, |api| {
        let exported = transfer::export(api, store, to).map_err(|error| output::whole(&error))?;
        tell("exported", 1, exported.size);
        show_report(&exported.report)
    })
}

/// Shows what an import would make.
fn show(plan: &Plan) -> ExitCode {
    tell("would import", plan.stores.len() as u64, plan.size());
    for store in &plan.stores {
        let name = store.sheet.name.as_ref().map_or_else(|| "without a name".to_owned(), |name| format!("{name:?}"));
        let Size { records, bytes } = store.size;
        output::say(&format!("store {name}: {records} records, {bytes} bytes, from {:?}", store.place));
    }
    show_report(&plan.report).map_or_else(
        |error| {
            output::print_error(&error);
            exit::failed()
        },
        |()| ExitCode::SUCCESS,
    )
}

/// Says what a look at the source has found, before anything is written.
fn announce(report: &Report) {
    let Report { notes, left_out } = report;
    if !notes.is_empty() || !left_out.is_empty() {
        let (noted, left) = (notes.len(), left_out.len());
        output::complain(&format!("found before the import: {left} to leave out, {noted} to note"));
        findings(report).take(MAX_ANNOUNCED).for_each(|line| output::complain(&line));
        if let Some(more) = (noted + left).checked_sub(MAX_ANNOUNCED).filter(|more| *more > 0) {
            output::complain(&format!("and {more} more, which the report names in the end, and --dry-run"));
        }
    }
}

/// Returns a line for each finding.
fn findings(report: &Report) -> impl Iterator<Item = String> {
    let left_out = report.left_out.iter().map(|finding| format!("left out: {finding}"));
    left_out.chain(report.notes.iter().map(|finding| format!("note: {finding}")))
}

/// Names everything that was not carried over as it was; fails if something was left out.
fn show_report(report: &Report) -> Result<(), String> {
    findings(report).for_each(|line| output::complain(&line));
    match report.left_out.len() {
        0 => Ok(()),
        count => Err(format!("{count} left out")),
    }
}

fn tell(what: &str, stores: u64, size: Size) {
    let Size { records, bytes } = size;
    output::say(&format!("{what} {records} records of {stores} stores, {bytes} bytes"));
}

fn with(
    url: Option<String>,
    given: &Given,
    missing: MissingFolder,
    work: impl FnOnce(&Api) -> Result<(), String>,
) -> ExitCode {
    let target = match Target::find(url, given, missing) {
        Ok(target) => target,
        Err(code) => return code,
    };
    let outcome = work(&target.api());
    let closed = target.close();
    match outcome.and(closed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::print_error(&error);
            exit::failed()
        }
    }
}
