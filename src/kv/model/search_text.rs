//! Search text of a store: its name and title, as kept in the listing index.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::names::StoreName;

/// Maximum size of a search text in bytes. It keeps the key of an index entry within the limit of object stores on top of a
/// file system (see `object_keys`).
const MAX_SEARCH_TEXT_BYTES: usize = 135;

/// Between name and title. Neither contains it except on purpose.
const SEPARATOR: char = '\n';

/// The name and the title of a store, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchText(Box<str>);

impl SearchText {
    /// Returns the search text of a store; `None` if it is too long to index, so the store itself must be searched.
    pub fn new(name: Option<&StoreName>, title: Option<&str>) -> Option<Self> {
        let text = format!("{}{SEPARATOR}{}", name.map_or("", StoreName::as_str), title.unwrap_or_default());
        let text = text.to_lowercase();
        (text.len() <= MAX_SEARCH_TEXT_BYTES).then(|| Self(text.into_boxed_str()))
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
    fn a_search_text_has_name_and_title_and_reads_back() {
        let name: StoreName = "Shop-Pages".parse().expect("a name");
        for (name, title, found) in [
            (Some(&name), Some("Äpfel & Brot"), &["shop-p", "äpfel"][..]),
            (Some(&name), None, &["pages"]),
            (None, Some("Brot"), &["brot"]),
            (None, None, &[""]),
        ] {
            let search_text = SearchText::new(name, title).expect("it is short");
            assert!(
                found.iter().all(|text| search_text.contains(text)) && !search_text.contains("attic"),
                "{search_text:?}"
            );
            assert_eq!(SearchText::decoded(&search_text.encoded()), Some(search_text));
        }
        assert_eq!(SearchText::new(Some(&name), Some(&"x".repeat(125))), None);
        assert_eq!(SearchText::decoded("?"), None);
    }
}
