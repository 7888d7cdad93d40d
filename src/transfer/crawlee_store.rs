//! Folder of one store in a storage folder: the mapping from files to records.
//!
//! Every version of Crawlee and the SDKs names files differently. A file name is a key with an extension for its type
//! (JavaScript), or a percent-encoded key (Python), and `{file}.__metadata__.json` or `{key}.__metadata__.json` may
//! describe it.

use std::{collections::BTreeMap, io::Read};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    crawlee_keys::{Candidate, resolve},
    directory::{Directory, FileName},
    error::{Error, Result},
    naming::Naming,
    report::{Finding, Report},
    source::{Size, SourceRecord},
};

/// Suffix of the names of description files; by itself, the name of the file that describes the store.
pub const METADATA: &str = "__metadata__.json";

/// Maximum length of a description file, in bytes.
const MAX_METADATA_BYTES: u64 = 1024 * 1024;

/// Type of files with an unknown extension.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Records in the folder of a store, with the findings.
pub struct StoreFolder {
    /// The folder.
    pub folder: Directory,
    /// Name of the store.
    pub name: Option<String>,
    /// Its records, sorted by their keys.
    pub records: Vec<SourceRecord>,
    /// Number and size of the records.
    pub size: Size,
    /// Findings about its files.
    pub report: Report,
}

/// Description of a record.
#[derive(Debug, Default, Deserialize)]
struct Metadata {
    key: Option<String>,
    #[serde(alias = "contentType")]
    content_type: Option<String>,
}

/// Description of a store.
#[derive(Debug, Default, Deserialize)]
struct StoreMetadata {
    name: Option<String>,
}

/// Reader of the folder of a store.
struct Reader<'a> {
    folder: &'a Directory,
    /// Names of description files, until the described file is found.
    descriptions: BTreeMap<String, bool>,
    report: Report,
}

impl StoreFolder {
    /// Reads the names and descriptions in `folder`. The store is called `name` unless its own description has another
    /// name.
    pub fn look(folder: Directory, name: Option<String>, naming: Naming) -> Result<Self> {
        let (mut candidates, mut texts) = (Vec::new(), Vec::new());
        let mut reader = Reader { folder: &folder, descriptions: BTreeMap::new(), report: Report::default() };
        for name in folder.names()? {
            match name.into_string() {
                Ok(text) if text.ends_with(METADATA) => drop(reader.descriptions.insert(text, false)),
                Ok(text) => texts.push(text),
                Err(name) => {
                    let finding = Finding::at(&folder.path().join(name), "its name is not UTF-8, and so is no key");
                    reader.report.leave_out(finding);
                }
            }
        }
        let store: StoreMetadata = reader.describe(METADATA).unwrap_or_default();
        for text in texts {
            candidates.extend(reader.candidate(&text));
        }
        let Reader { descriptions, mut report, .. } = reader;
        for (name, _) in descriptions.iter().filter(|(_, is_used)| !**is_used) {
            let path = folder.path().join(name);
            report.leave_out(Finding::at(&path, "describes a record whose file is not there"));
        }
        let records = resolve(candidates, folder.path(), naming, &mut report);
        let mut size = Size::default();
        for record in &records {
            size.add(record.size);
        }
        Ok(Self { name: store.name.or(name), records, size, report, folder })
    }
}

impl Reader<'_> {
    /// Returns the record for a file; reports a file that cannot be a record.
    fn candidate(&mut self, text: &str) -> Option<Candidate> {
        let path = self.folder.path().join(text);
        let (stem, ending) = text.rsplit_once('.').map_or((text, None), |(stem, ending)| (stem, Some(ending)));
        let of_file: Option<Metadata> = self.describe(&format!("{text}.{METADATA}"));
        let is_in_full = of_file.is_some();
        if text.starts_with('.') && !is_in_full {
            self.report.note(Finding::at(&path, "is a hidden file, and so is no record"));
            return None;
        }
        let of_key: Option<Metadata> = self.describe(&format!("{stem}.{METADATA}"));
        let found = match FileName::try_from(text.to_owned()) {
            Ok(file) => self.folder.file_length(&file).map(|size| (file, size)),
            Err(invalid) => Err(Error::Unusable(invalid.to_string())),
        };
        let (file, size) = match found {
            Ok(found) => found,
            Err(error) => {
                self.report.leave_out(Finding::of(path.display().to_string(), &error));
                return None;
            }
        };
        let guessed = ending.and_then(|ending| mime_guess::from_ext(ending).first_raw());
        // An unknown extension belongs to the key, unless it is the fallback that Crawlee adds.
        let is_ending = guessed.is_some() || ending == Some("bin");
        let own_key = if is_ending && !is_in_full { stem } else { text };
        let own_key = percent_decode_str(own_key).decode_utf8_lossy().into_owned();
        let guessed = guessed.unwrap_or(UNKNOWN_TYPE);
        let known = of_file.or(of_key).unwrap_or_default();
        let is_described = known.content_type.as_deref().is_some_and(|known| is_in_full || essence(known) == guessed);
        Some(Candidate {
            file,
            size,
            key: known.key.unwrap_or(own_key),
            content_type: known.content_type.unwrap_or_else(|| with_charset(guessed)),
            guessed_type: with_charset(guessed),
            is_described,
        })
    }

    /// Reads the description in the file called `name`, if there is one. An unreadable one is reported.
    fn describe<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        *self.descriptions.get_mut(name)? = true;
        let file_name = FileName::try_from(name.to_owned()).ok()?;
        match read_json(self.folder, &file_name) {
            Ok(description) => Some(description),
            Err(error) => {
                let reason = format!("{}: what it describes is imported by the name of its file", error.reason());
                self.report.note(Finding::at(&self.folder.path().join(name), reason));
                None
            }
        }
    }
}

fn read_json<T: DeserializeOwned>(folder: &Directory, name: &FileName) -> Result<T> {
    let mut text = Vec::new();
    let read = folder.read(name)?.take(MAX_METADATA_BYTES).read_to_end(&mut text);
    read.map_err(Error::of(&folder.path_of(name)))?;
    serde_json::from_slice(&text).map_err(|error| Error::Unusable(format!("is no description ({error})")))
}

/// Returns a type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or(content_type).trim()
}

/// Returns a type as the clients store it, with UTF-8 as the charset of texts.
fn with_charset(content_type: &str) -> String {
    if content_type.starts_with("text/") || content_type == "application/json" {
        return format!("{content_type}; charset=utf-8");
    }
    content_type.to_owned()
}
