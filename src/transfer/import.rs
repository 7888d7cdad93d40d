//! Import of stores into a server.

use std::path::Path;

use crate::kv::RecordKey;

use super::{
    api::Api,
    attempts::{CHANGED, GONE, Outcome, attempt},
    error::{Error, Result},
    pipeline::in_order,
    plan::Plan,
    progress::{Progress, StoreProgress},
    progress_display::ProgressDisplay,
    record::StoreSheet,
    report::{Finding, Report},
    source::{Size, Source, SourceEntry, SourceStore},
};

/// Result of an import.
#[derive(Debug)]
pub struct Imported {
    /// Number of stores that are complete, with all records that could be imported.
    pub stores: u64,
    /// Number and size of the imported records, including those of earlier runs.
    pub size: Size,
    /// Everything that was not imported unchanged.
    pub report: Report,
    /// Reason why the import ended early.
    pub outcome: Result<()>,
}

/// Imports the stores of a plan. An existing store of the same name gets the settings and the records, which replace
/// differing records of the same keys. Resumes an interrupted import, by the file at `progress`.
pub fn import(api: &Api, source: &dyn Source, plan: Plan, progress: &Path) -> Imported {
    let display = ProgressDisplay::start(plan.size());
    let Plan { stores, report } = plan;
    let imported = Imported { stores: 0, size: Size::default(), report, outcome: Ok(()) };
    let mut import = match Progress::open(progress, &source.identity(), api.origin()) {
        Ok(progress) => Import { api, source, display, progress, imported },
        Err(error) => return Imported { outcome: Err(error), ..imported },
    };
    import.imported.report.merge(import.progress.report().clone());
    let outcome = import.all(&stores);
    let Import { progress, imported, .. } = import;
    let outcome = outcome.and_then(|()| progress.finish());
    Imported { outcome, ..imported }
}

/// An import in progress.
struct Import<'a> {
    api: &'a Api,
    source: &'a dyn Source,
    display: ProgressDisplay,
    progress: Progress,
    imported: Imported,
}

impl Import<'_> {
    /// Imports every store.
    fn all(&mut self, stores: &[SourceStore]) -> Result<()> {
        for store in stores {
            match self.store(store) {
                Ok(()) => self.imported.stores += 1,
                Err(error) if error.is_fatal() => {
                    self.progress.save()?;
                    return Err(error);
                }
                Err(error) => self.imported.report.leave_out(Finding::of(store.place.as_str(), &error)),
            }
        }
        Ok(())
    }

    fn store(&mut self, store: &SourceStore) -> Result<()> {
        if self.progress.of(&store.id).is_none() {
            let target = self.make(store)?;
            self.progress.set(&store.id, StoreProgress { target, ..StoreProgress::default() })?;
        }
        let begun = self.progress.of(&store.id).unwrap_or_default();
        let done = Size { records: begun.records, bytes: begun.bytes };
        self.imported.size += done;
        self.display.begin(store.sheet.name.as_deref().unwrap_or(&store.id), done);
        if !begun.is_done {
            self.records(store, &begun)?;
        }
        let begun = self.progress.of(&store.id).unwrap_or(begun);
        self.progress.set(&store.id, StoreProgress { is_done: true, ..begun })
    }

    /// Imports the missing records of a store.
    fn records(&mut self, store: &SourceStore, begun: &StoreProgress) -> Result<()> {
        let Self { api, source, display, progress, imported } = self;
        let display = &*display;
        let reach = || api.reach(&begun.target).and_then(|()| source.reach(store));
        // An identical record stays untouched. Most imports write into an empty store and need no check.
        let has_records = !api.keys(&begun.target, begun.after.as_ref().map(RecordKey::as_str))?.items.is_empty();
        let copy = |entry: SourceEntry| {
            let record = match entry {
                SourceEntry::Record(record) => record,
                SourceEntry::LeftOut(finding) => return Ok((None, Some(finding))),
            };
            let write = || {
                if has_records
                    && let Some(found) = source.open(store, &record)?
                    && let Some(bytes) = api.identical_bytes(&begun.target, &record.key, found)?
                {
                    display.add_bytes(bytes);
                    return Ok(Some(bytes));
                }
                let found = source.open(store, &record)?;
                found
                    .map(|found| display.count(found, |found| api.write(&begun.target, &record.key, found)))
                    .transpose()
            };
            let outcome = attempt(write, reach)?;
            Ok((Some((source.place_of(store, &record), record.key, outcome)), None))
        };
        in_order(source.records(store, begun.after.as_ref())?, copy, |(carried, invalid)| {
            if let Some(finding) = invalid {
                imported.report.leave_out(finding);
            }
            let Some((place, key, outcome)) = carried else { return Ok(()) };
            let (bytes, note, reason) = match outcome {
                Outcome::Done(bytes) => (Some(bytes), None, None),
                Outcome::DoneAfterChange(bytes) => (Some(bytes), Some(CHANGED.to_owned()), None),
                Outcome::Gone => (None, Some(GONE.to_owned()), None),
                Outcome::LeftOut(reason) => (None, None, Some(reason)),
            };
            if let Some(note) = note {
                let finding = Finding::new(place.as_str(), note);
                progress.note(finding.clone());
                imported.report.note(finding);
            }
            if let Some(reason) = reason {
                let finding = Finding::new(place, reason);
                progress.leave_out(finding.clone());
                imported.report.leave_out(finding);
            }
            if let Some(bytes) = bytes {
                imported.size.add(bytes);
                display.step();
            }
            progress.step(&store.id, key, bytes)
        })
    }

    /// Creates the target store, or finds it; returns its id. Rejected settings do not prevent the import of the
    /// records.
    fn make(&mut self, store: &SourceStore) -> Result<String> {
        let made = self.api.make_store(&store.sheet)?;
        let settings = StoreSheet { name: None, schema: None, ..store.sheet.clone() };
        if settings == StoreSheet::default() {
            return Ok(made.id);
        }
        match self.api.set_up(&made.id, &settings) {
            Err(error @ (Error::Refused { .. } | Error::Unusable(_))) if !error.is_fatal() => {
                let finding = Finding::new(format!("{}, settings", store.place), error.reason());
                self.progress.leave_out(finding.clone());
                self.imported.report.leave_out(finding);
            }
            outcome => outcome?,
        }
        Ok(made.id)
    }
}
