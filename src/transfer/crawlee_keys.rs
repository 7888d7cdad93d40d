//! Keys of the records in a storage folder, with the conflicts and the invalid keys resolved.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::kv::RecordKey;

use super::{
    directory::FileName,
    naming::Naming,
    record::Attributes,
    report::{Finding, Report},
    source::SourceRecord,
};

/// File that may be a record.
#[derive(Debug)]
pub struct Candidate {
    /// The file.
    pub file: FileName,
    /// Its length.
    pub size: u64,
    /// Its key, from its description or its name.
    pub key: String,
    /// Its type, from its description or its name.
    pub content_type: String,
    /// Its type, from its name.
    pub guessed_type: String,
    /// True if a description is about this file, and not about another with the same name and another extension.
    pub is_described: bool,
}

/// Assigned keys, with their report.
struct Keys<'a> {
    folder: &'a Path,
    naming: Naming,
    taken: BTreeSet<RecordKey>,
    records: Vec<SourceRecord>,
    report: &'a mut Report,
}

/// Assigns each file its key, and returns the records sorted by their keys.
///
/// If several files have one key, the file with a description keeps it, and each other file gets its file name as its
/// key; if none or several are described, all get their file names. A key that the server rejects follows `naming`. A
/// file whose key is then already assigned is left out.
pub fn resolve(candidates: Vec<Candidate>, folder: &Path, naming: Naming, report: &mut Report) -> Vec<SourceRecord> {
    let mut keys = Keys { folder, naming, taken: BTreeSet::new(), records: Vec::new(), report };
    let (mut valid, mut refused) = (BTreeMap::<RecordKey, Vec<Candidate>>::new(), Vec::new());
    for candidate in candidates {
        match candidate.key.parse() {
            Ok(key) => valid.entry(key).or_default().push(candidate),
            Err(error) => refused.push((candidate, error)),
        }
    }
    let mut colliding = Vec::new();
    for (key, mut files) in valid {
        let described = files.iter().filter(|file| file.is_described).count();
        let own = if files.len() == 1 { Some(0) } else { files.iter().position(|file| file.is_described) };
        let own = own.filter(|_| files.len() == 1 || described == 1).map(|own| files.remove(own));
        let names: Vec<String> = own.iter().chain(&files).map(|file| file.file.to_string()).collect();
        colliding.extend(files.into_iter().map(|file| (key.clone(), names.clone(), file)));
        if let Some(own) = own {
            keys.give(key, own);
        }
    }
    for (key, names, file) in colliding {
        keys.rename(&key, &names, file);
    }
    for (candidate, error) in refused {
        keys.map(candidate, &error.to_string());
    }
    let Keys { mut records, .. } = keys;
    records.sort_by(|one, other| one.key.cmp(&other.key));
    records
}

impl Keys<'_> {
    fn give(&mut self, key: RecordKey, candidate: Candidate) {
        let Candidate { file, size, content_type, .. } = candidate;
        self.taken.insert(key.clone());
        let attributes = Some(Attributes { content_type, content_encoding: None });
        self.records.push(SourceRecord { key, size, file: Some(file), attributes, sha256: None });
    }

    /// Replaces a conflicting key by the name of the file.
    fn rename(&mut self, key: &RecordKey, names: &[String], mut candidate: Candidate) {
        let path = self.folder.join(candidate.file.as_str());
        let others: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| *name != candidate.file.as_str()).collect();
        let shared = format!("its key {key} is also that of {}", others.join(", "));
        let own =
            candidate.file.as_str().parse::<RecordKey>().ok().or_else(|| self.naming.key(candidate.file.as_str()));
        match own.filter(|own| !self.taken.contains(own)) {
            Some(own) => {
                self.report.note(Finding::at(&path, format!("{shared}: imported under the key {own}")));
                if !candidate.is_described {
                    candidate.content_type = std::mem::take(&mut candidate.guessed_type);
                }
                self.give(own, candidate);
            }
            None => self.report.leave_out(Finding::at(&path, format!("{shared}, and its name is no key that is free"))),
        }
    }

    /// Replaces a rejected key, if `naming` asks for that.
    fn map(&mut self, candidate: Candidate, error: &str) {
        let path = self.folder.join(candidate.file.as_str());
        let refused = format!("its key {} is refused: {error}", candidate.key);
        match self.naming.key(&candidate.key) {
            None => {
                self.report.leave_out(Finding::at(&path, format!("{refused} (--map-names imports it under another)")));
            }
            Some(key) if self.taken.contains(&key) => {
                self.report.leave_out(Finding::at(&path, format!("{refused}; {key} is the key of another file")));
            }
            Some(key) => {
                self.report.note(Finding::at(&path, format!("{refused}: imported under the key {key}")));
                self.give(key, candidate);
            }
        }
    }
}
