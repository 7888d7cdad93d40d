//! Search text of a store: its name and title, as kept in the listing index.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::names::StoreName;

/// Maximum size of a label in bytes. It keeps the key of an index entry within the limit of object stores on top of a
/// file system (see `object_keys`).
const MAX_BYTES: usize = 135;

/// Between name and title. Neither contains it except on purpose.
const SEPARATOR: char = '\n';

/// The name and the title of a store, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(Box<str>);

impl Label {
    /// Returns the label of a store; `None` if it is too long to index, so the store itself must be searched.
    pub fn of(name: Option<&StoreName>, title: Option<&str>) -> Option<Self> {
        let text = format!("{}{SEPARATOR}{}", name.map_or("", StoreName::as_str), title.unwrap_or_default());
        let text = text.to_lowercase();
        (text.len() <= MAX_BYTES).then(|| Self(text.into_boxed_str()))
    }

    /// Returns whether the store may match this text, in lower case.
    pub fn contains(&self, search: &str) -> bool {
        self.0.contains(search)
    }

    /// Encodes it in characters that are valid in an object key.
    pub fn encoded(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.as_bytes())
    }

    /// Decodes the result of [`encoded`](Self::encoded).
    pub fn decoded(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(String::from_utf8(bytes).ok()?.into_boxed_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_name_and_title_and_reads_back() {
        let name: StoreName = "Shop-Pages".parse().expect("a name");
        for (name, title, found) in [
            (Some(&name), Some("Äpfel & Brot"), &["shop-p", "äpfel"][..]),
            (Some(&name), None, &["pages"]),
            (None, Some("Brot"), &["brot"]),
            (None, None, &[""]),
        ] {
            let label = Label::of(name, title).expect("it is short");
            assert!(found.iter().all(|text| label.contains(text)) && !label.contains("attic"), "{label:?}");
            assert_eq!(Label::decoded(&label.encoded()), Some(label));
        }
        assert_eq!(Label::of(Some(&name), Some(&"x".repeat(125))), None);
        assert_eq!(Label::decoded("?"), None);
    }
}
