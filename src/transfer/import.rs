//! Stores' way in.

use std::path::PathBuf;

use super::{
    api::{Api, persist},
    bars::Bars,
    error::{Error, Result},
    export::Carried,
    pipeline::in_order,
    progress::{Progress, StoreProgress},
    record::{LeftOut, StoreSheet},
    source::{Source, SourceEntry, SourceStore},
};

/// How stores are imported.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The name that the store gets, instead of its own; only of one.
    pub name: Option<String>,
    /// Where it is written down how far it has come.
    pub progress: PathBuf,
}

/// What became of an import.
#[derive(Debug, Default)]
pub struct Imported {
    /// How much was carried over.
    pub carried: Carried,
    /// What could not be a record, and why.
    pub left_out: Vec<LeftOut>,
}

/// Imports all stores of a source. A store of a name that is there already takes the records in, over those of the same keys,
/// and the settings. What was cut off goes on where it was.
pub fn import(api: &Api, source: &dyn Source, options: &ImportOptions, bars: Bars) -> Result<Imported> {
    let mut stores = source.stores()?;
    if let Some(name) = &options.name {
        let [store] = stores.as_mut_slice() else {
            return Err(Error::Unusable(format!("there are {} stores, which cannot all be {name}", stores.len())));
        };
        store.sheet.name = Some(name.clone());
    }
    let mut progress = Progress::open(&options.progress, &source.identity(), api.origin())?;
    let mut imported = Imported::default();
    for store in &stores {
        import_store(api, source, store, &mut progress, &mut imported, bars)?;
        imported.carried.stores += 1;
    }
    if !stores.is_empty() {
        progress.finish()?;
    }
    Ok(imported)
}

fn import_store(
    api: &Api,
    source: &dyn Source,
    store: &SourceStore,
    progress: &mut Progress,
    imported: &mut Imported,
    bars: Bars,
) -> Result<()> {
    if progress.of(&store.id).is_none() {
        let target = make(api, &store.sheet)?;
        progress.set(&store.id, StoreProgress { target, ..StoreProgress::default() })?;
    }
    let begun = progress.of(&store.id).unwrap_or_default();
    imported.carried.records += begun.records;
    if begun.is_done {
        return Ok(());
    }
    let bar = bars.begin(store.sheet.name.as_deref().unwrap_or(&store.id), store.records, begun.records);
    let copy = |entry: SourceEntry| {
        let record = match entry {
            SourceEntry::Record(record) => record,
            SourceEntry::LeftOut(left_out) => return Ok(Err(left_out)),
        };
        persist(|| {
            // What was deleted since it was listed is no part of the store.
            let found = source.open(store, &record)?;
            found.map_or(Ok(()), |found| api.write(&begun.target, &record.key, found))
        })?;
        Ok(Ok(record))
    };
    in_order(source.records(store, begun.after.as_ref())?, copy, |outcome| {
        let record = match outcome {
            Ok(record) => record,
            Err(left_out) => {
                imported.left_out.push(left_out);
                return Ok(());
            }
        };
        imported.carried.records += 1;
        imported.carried.bytes += record.size;
        bar.step(imported.carried.bytes);
        progress.step(&store.id, record.key)
    })?;
    bar.end();
    let begun = progress.of(&store.id).unwrap_or(begun);
    progress.set(&store.id, StoreProgress { is_done: true, ..begun })
}

/// Makes the store that records go to, or finds it; its id.
fn make(api: &Api, sheet: &StoreSheet) -> Result<String> {
    let made = api.make_store(sheet)?;
    let settings = StoreSheet { name: None, schema: None, ..sheet.clone() };
    if settings != StoreSheet::default() {
        api.set_up(&made.id, &settings)?;
    }
    Ok(made.id)
}
