//! `larder import` and `larder export`: stores to and from a server.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    config::ConfigSources,
    import_export::{self, Api, ImportResult, Naming, Plan, Remote, Report, Size, Source},
};

use super::{
    api_connection::{self, MissingFolder, with_server},
    exit, output,
};

/// Variable with the token for the source server.
const FROM_TOKEN: &str = "LARDER_FROM_TOKEN";

/// Maximum number of findings shown before an import; all are shown after it.
const MAX_FINDINGS_BEFORE_IMPORT: usize = 20;

/// Arguments of `larder import`.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArguments {
    /// Exported folder or ZIP file, or storage folder of Crawlee or the Apify SDKs (contains `key_value_stores`)
    #[arg(value_name = "PATH", required_unless_present = "from", conflicts_with = "from")]
    path: Option<PathBuf>,
    #[arg(long, value_name = "URL", help = "Source server with the same API, such as https://api.apify.com")]
    from: Option<String>,
    #[arg(long, value_name = "TOKEN", requires = "from")]
    #[arg(
        help = "Token for the source server; other users can see arguments, but not the variable [env: LARDER_FROM_TOKEN]"
    )]
    token: Option<String>,
    /// Store on the source server: name, user~name or id; repeatable [default: all named stores]
    #[arg(long, value_name = "STORE", requires = "from")]
    store: Vec<String>,
    /// Include stores without a name
    #[arg(long, requires = "from", conflicts_with = "store")]
    unnamed: bool,
    /// New name of the store, if there is only one
    #[arg(long)]
    name: Option<String>,
    /// Print what would be imported and left out; write nothing and contact only the source
    #[arg(long)]
    dry_run: bool,
    /// Map invalid names and keys of a storage folder: replace characters by hyphens, truncate to fit
    #[arg(long)]
    map_names: bool,
    /// File that stores the progress, for resuming an interrupted import
    #[arg(long, value_name = "FILE", default_value = "larder-import.progress")]
    progress: PathBuf,
}

/// Imports stores.
pub(super) fn import(arguments: ImportArguments, url: Option<String>, sources: &ConfigSources) -> ExitCode {
    let ImportArguments { path, from, token, store, unnamed, name, dry_run, map_names, progress } = arguments;
    let naming = if map_names { Naming::Map } else { Naming::Keep };
    let source: Result<Box<dyn Source>, String> = match (path, from) {
        (Some(path), _) => import_export::open(&path, naming).map_err(|error| error.to_string()),
        (None, Some(from)) => match token.or_else(|| sources.variable(FROM_TOKEN).map(str::to_owned)) {
            Some(token) => api_connection::agent(&from, sources).map(|agent| -> Box<dyn Source> {
                Box::new(Remote::new(Api::new(agent, &from, &token), store, unnamed))
            }),
            None => Err(format!("cannot access {from}: no token; set {FROM_TOKEN}")),
        },
        (None, None) => Err("no source: name a path, or a server with --from".to_owned()),
    };
    let planned = source.and_then(|source| {
        let plan = Plan::new(source.as_ref(), name.as_deref(), naming).map_err(|error| output::error_chain(&error))?;
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
        return print_plan(&plan);
    }
    print_findings_before_import(&plan.report);
    with_server(url, sources, MissingFolder::Create, |session| {
        let ImportResult { stores, size, report, outcome } =
            import_export::import(&session.client(), source.as_ref(), plan, &progress);
        print_total("imported", stores, size);
        let complete = print_report(&report);
        Ok(outcome.map_err(|error| output::error_chain(&error)).and(complete)?)
    })
}

/// Exports a store.
pub(super) fn export(store: &str, to: &Path, url: Option<String>, sources: &ConfigSources) -> ExitCode {
    with_server(url, sources, MissingFolder::Refuse, |session| {
        let store = session.connection().find_store(store)?.address;
        let exported =
            import_export::export(&session.client(), &store, to).map_err(|error| output::error_chain(&error))?;
        print_total("exported", 1, exported.size);
        Ok(print_report(&exported.report)?)
    })
}

/// Shows the plan of an import.
fn print_plan(plan: &Plan) -> ExitCode {
    print_total("would import", plan.stores.len() as u64, plan.size());
    for store in &plan.stores {
        let name = store.manifest.name.as_ref().map_or_else(|| "without a name".to_owned(), |name| format!("{name:?}"));
        let Size { records, bytes } = store.size;
        output::print_line(&format!("store {name}: {records} records, {bytes} bytes, from {:?}", store.place));
    }
    print_report(&plan.report).map_or_else(
        |error| {
            output::print_error(&error);
            exit::failed()
        },
        |()| ExitCode::SUCCESS,
    )
}

/// Shows the findings about the source, before anything is written.
fn print_findings_before_import(report: &Report) {
    let Report { notes, left_out } = report;
    if !notes.is_empty() || !left_out.is_empty() {
        let (noted, left) = (notes.len(), left_out.len());
        output::print_message(&format!("before the import: {left} to be left out, {noted} notes"));
        findings(report).take(MAX_FINDINGS_BEFORE_IMPORT).for_each(|line| output::print_message(&line));
        if let Some(more) = (noted + left).checked_sub(MAX_FINDINGS_BEFORE_IMPORT).filter(|more| *more > 0) {
            output::print_message(&format!("and {more} more; see the report at the end, or --dry-run"));
        }
    }
}

/// Returns a line for each finding.
fn findings(report: &Report) -> impl Iterator<Item = String> {
    let left_out = report.left_out.iter().map(|finding| format!("left out: {finding}"));
    left_out.chain(report.notes.iter().map(|finding| format!("note: {finding}")))
}

/// Shows everything that was not imported unchanged; fails if something was left out.
fn print_report(report: &Report) -> Result<(), String> {
    findings(report).for_each(|line| output::print_message(&line));
    match report.left_out.len() {
        0 => Ok(()),
        count => Err(format!("{count} items were left out")),
    }
}

fn print_total(what: &str, stores: u64, size: Size) {
    let Size { records, bytes } = size;
    output::print_line(&format!("{what} {records} records of {stores} stores, {bytes} bytes"));
}
