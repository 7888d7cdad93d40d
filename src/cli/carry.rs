//! `larder import` and `larder export`: stores on their way in and out.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    config::Given,
    transfer::{self, Api, Bars, Carried, ImportOptions, LeftOut, Remote, Source},
};

use super::{
    exit, http, output,
    target::{MissingFolder, Target},
};

/// The variable that says who asks another server.
const FROM_TOKEN: &str = "LARDER_FROM_TOKEN";

/// Where stores come from, and what becomes of them.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArguments {
    /// A folder or ZIP file that was exported, or a storage folder of Crawlee's
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
    /// Where it is written down how far it has come
    #[arg(long, value_name = "FILE", default_value = "larder-import.progress")]
    progress: PathBuf,
}

/// Imports stores.
pub(super) fn import(arguments: ImportArguments, url: Option<String>, given: &Given) -> ExitCode {
    let ImportArguments { path, from, token, store, unnamed, name, progress } = arguments;
    let source: Result<Box<dyn Source>, String> = match (path, from) {
        (Some(path), _) => transfer::open(&path).map_err(|error| error.to_string()),
        (None, Some(from)) => match token.or_else(|| given.variable(FROM_TOKEN).map(str::to_owned)) {
            Some(token) => http::agent(&from, given).map(|agent| -> Box<dyn Source> {
                Box::new(Remote::new(Api::new(agent, &from, &token), store, unnamed))
            }),
            None => Err(format!("a token for {from} is needed: set {FROM_TOKEN}")),
        },
        (None, None) => Err("there is nothing to import".to_owned()),
    };
    let source = match source {
        Ok(source) => source,
        Err(error) => {
            output::print_error(&error);
            return exit::failed();
        }
    };
    let options = ImportOptions { name, progress };
    with(url, given, MissingFolder::Create, |api| {
        let imported = transfer::import(api, source.as_ref(), &options, Bars).map_err(|error| output::whole(&error))?;
        tell("imported", imported.carried);
        report_left_out(&imported.left_out)
    })
}

/// Exports a store.
pub(super) fn export(store: &str, to: &Path, url: Option<String>, given: &Given) -> ExitCode {
    with(url, given, MissingFolder::Refuse, |api| {
        let exported = transfer::export(api, store, to, Bars).map_err(|error| output::whole(&error))?;
        tell("exported", exported.carried);
        report_left_out(&exported.left_out)
    })
}

/// Names what was left out; fails if anything was.
fn report_left_out(left_out: &[LeftOut]) -> Result<(), String> {
    for entry in left_out {
        output::complain(&format!("left out: {entry}"));
    }
    match left_out.len() {
        0 => Ok(()),
        count => Err(format!("{count} were left out")),
    }
}

fn tell(what: &str, carried: Carried) {
    let Carried { stores, records, bytes } = carried;
    output::say(&format!("{what} {records} records of {stores} stores, {bytes} bytes in this run"));
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
