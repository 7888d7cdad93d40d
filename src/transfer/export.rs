//! A store's way out: into a folder, or into one ZIP file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    api::{Api, persist},
    archive::{INDEX, Origin, Unfinished},
    bars::Bars,
    directory::Directory,
    error::{Error, Result},
    pipeline::in_order,
    record::LeftOut,
    remote::Remote,
    source::{Source, SourceEntry, SourceStore},
    zipped::pack,
};

/// How much was carried over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Stores.
    pub stores: u64,
    /// Records, those of an earlier run included.
    pub records: u64,
    /// Bytes, as they are stored.
    pub bytes: u64,
}

/// What became of an export.
#[derive(Debug, Default)]
pub struct Exported {
    /// How much was carried over.
    pub carried: Carried,
    /// Entries of the server's list that are no records.
    pub left_out: Vec<LeftOut>,
}

/// Exports a store, by its id, `~name` or `user~name`, to `to`: a ZIP file if that is how its name ends, else a folder. What
/// was cut off goes on where it was.
pub fn export(api: &Api, store: &str, to: &Path, bars: Bars) -> Result<Exported> {
    if to.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("zip")) {
        return export_to_folder(api, store, to, bars);
    }
    if to.exists() {
        return Err(Error::Unusable(format!("{} is there already", to.display())));
    }
    let mut folder = to.as_os_str().to_owned();
    folder.push(".unfinished");
    let folder = PathBuf::from(folder);
    // It may have been whole already, and not packed yet.
    let is_whole = folder.exists() && Directory::open(&folder)?.has(&INDEX);
    let exported = if is_whole { Exported::default() } else { export_to_folder(api, store, &folder, bars)? };
    pack(&folder, to)?;
    fs::remove_dir_all(&folder).map_err(Error::of(&folder))?;
    Ok(exported)
}

fn export_to_folder(api: &Api, store: &str, folder: &Path, bars: Bars) -> Result<Exported> {
    let remote = Remote::new(api.clone(), vec![store.to_owned()], false);
    let Some(SourceStore { id, sheet, .. }) = remote.stores()?.into_iter().next() else {
        return Err(Error::Unusable(format!("there is no store {store}")));
    };
    let origin = Origin { server: api.origin().to_owned(), store: id.clone() };
    let mut unfinished = Unfinished::open(folder, &origin)?;
    let (after, before) = unfinished.last();
    let mut carried = Carried { stores: 1, records: before, bytes: 0 };
    let mut left_out = Vec::new();
    let bar = bars.begin(sheet.name.as_deref().unwrap_or(&id), None, before);
    let files = unfinished.files();
    let stored = SourceStore { id: id.clone(), sheet: sheet.clone(), records: None };
    let copy = |entry: SourceEntry| {
        let record = match entry {
            SourceEntry::Record(record) => record,
            SourceEntry::LeftOut(left_out) => return Ok(Err(left_out)),
        };
        persist(|| {
            // What was deleted since it was listed is no part of the store.
            let found = remote.open(&stored, &record)?;
            found.map(|found| files.write(&record.key, found)).transpose()
        })
        .map(Ok)
    };
    in_order(remote.records(&stored, after.as_ref())?, copy, |line| {
        let line = match line {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(()),
            Err(unusable) => {
                left_out.push(unusable);
                return Ok(());
            }
        };
        unfinished.note(&line)?;
        carried.records += 1;
        carried.bytes += line.size;
        bar.step(carried.bytes);
        Ok(())
    })?;
    bar.end();
    unfinished.finish(&sheet)?;
    Ok(Exported { carried, left_out })
}
