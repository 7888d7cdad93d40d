//! Export of a store: into a folder, or into one ZIP file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    api::Api,
    archive::{INDEX, Origin, PartialExport, write_zip},
    directory::Directory,
    error::{Error, Finding, Report, Result},
    pipeline::{CHANGED_WHILE_READ, DELETED, TransferOutcome, ordered_parallel_map, transfer_record},
    progress_bar::ProgressDisplay,
    remote::Remote,
    source::{Contents, Size, Source, SourceEntry},
};

/// Result of an export.
#[derive(Debug, Default)]
pub struct ExportResult {
    /// Number and size of the exported records, including those of earlier runs.
    pub size: Size,
    /// Entries of the server's list that were not exported.
    pub report: Report,
}

/// Exports a store, by its id, `~name` or `user~name`, to `to`: a ZIP file if the name ends so, else a folder. Resumes
/// an interrupted export.
pub fn export(api: &Api, store: &str, to: &Path) -> Result<ExportResult> {
    if to.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("zip")) {
        return export_to_folder(api, store, to);
    }
    if to.exists() {
        return Err(Error::Invalid(format!("{} already exists", to.display())));
    }
    let mut folder = to.as_os_str().to_owned();
    folder.push(".partial");
    let folder = PathBuf::from(folder);
    // It may be complete already, and not packed yet.
    let is_whole = folder.exists() && Directory::open(&folder)?.has(&INDEX);
    let exported = if is_whole { ExportResult::default() } else { export_to_folder(api, store, &folder)? };
    write_zip(&folder, to)?;
    fs::remove_dir_all(&folder).map_err(Error::at_path(&folder))?;
    Ok(exported)
}

fn export_to_folder(api: &Api, store: &str, folder: &Path) -> Result<ExportResult> {
    let remote = Remote::new(api.clone(), vec![store.to_owned()], false);
    let Contents { stores, report } = remote.contents()?;
    let Some(stored) = stores.into_iter().next() else {
        let reason = report.left_out.first().map_or_else(|| "the store does not exist".to_owned(), Finding::to_string);
        return Err(Error::Invalid(reason));
    };
    let origin = Origin { server: api.origin().to_owned(), store: stored.id.clone() };
    let mut partial = PartialExport::open(folder, &origin)?;
    let (after, before) = partial.resume_point();
    let mut exported = ExportResult { size: before, report };
    let display = ProgressDisplay::start(stored.size);
    display.begin(stored.manifest.name.as_deref().unwrap_or(&stored.id), before);
    let files = partial.files();
    let copy = |entry: SourceEntry| {
        let record = match entry {
            SourceEntry::Record(record) => record,
            SourceEntry::LeftOut(finding) => return Ok(Err(finding)),
        };
        let write = || {
            let found = remote.open(&stored, &record)?;
            found.map(|found| display.count(found, |found| files.write(&record.key, found))).transpose()
        };
        let outcome = transfer_record(write, || remote.check_reachable(&stored))?;
        Ok(Ok((remote.place_of(&stored, &record), outcome)))
    };
    ordered_parallel_map(remote.records(&stored, after.as_ref())?, copy, |carried| {
        let line = match carried {
            Ok((_, TransferOutcome::Done(line))) => line,
            Ok((place, TransferOutcome::DoneAfterChange(line))) => {
                exported.report.note(Finding::new(place, CHANGED_WHILE_READ));
                line
            }
            Ok((place, TransferOutcome::Deleted)) => {
                exported.report.note(Finding::new(place, DELETED));
                return Ok(());
            }
            Ok((place, TransferOutcome::LeftOut(reason))) => {
                exported.report.leave_out(Finding::new(place, reason));
                return Ok(());
            }
            Err(invalid) => {
                exported.report.leave_out(invalid);
                return Ok(());
            }
        };
        partial.append(&line)?;
        exported.size.add(line.size);
        display.step();
        Ok(())
    })?;
    drop(display);
    partial.finish(&stored.manifest)?;
    Ok(exported)
}
