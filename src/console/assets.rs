//! The console's files: in the program itself, or, where it is built without optimisation, in the folder that they come from, so
//! that a change shows without building anew.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;
use rust_embed::RustEmbed;

/// The folder `console`, without what only those who work on it need.
#[derive(RustEmbed)]
#[folder = "console"]
#[exclude = "*.md"]
#[exclude = "*.d.ts"]
#[exclude = "*.d.mts"]
struct Files;

/// The media type of pages.
const HTML: &str = "text/html; charset=utf-8";

/// A file.
#[derive(Debug)]
pub(super) struct Asset {
    /// Its bytes.
    pub(super) bytes: Bytes,
    /// Its media type.
    pub(super) media_type: HeaderValue,
    /// Another one for every other content, in quotes.
    pub(super) etag: String,
}

impl Asset {
    /// The file at a path inside the folder, without a slash at its beginning; `None` if there is none.
    pub(super) fn at(path: &str) -> Option<Self> {
        let file = Files::get(path)?;
        let hash = file.metadata.sha256_hash();
        let etag = hash[..16].iter().fold(String::from("\""), |text, byte| text + &format!("{byte:02x}")) + "\"";
        let bytes = match file.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        Some(Self { bytes, media_type: media_type(path), etag })
    }

    /// Returns the file as it is below the path `root`: a page names its files by whole paths.
    pub(super) fn below(self, root: &str) -> Self {
        if root.is_empty() || self.media_type != HTML {
            return self;
        }
        let text = String::from_utf8_lossy(&self.bytes).replace("\"/console/", &format!("\"{root}/console/"));
        let etag = format!("{}{root}\"", self.etag.trim_end_matches('"'));
        Self { bytes: text.into(), etag, ..self }
    }
}

/// The media type of a file, by its ending.
fn media_type(path: &str) -> HeaderValue {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    HeaderValue::from_static(match ending {
        "html" => HTML,
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "ttf" => "font/ttf",
        "pfb" => "application/x-font-type1",
        // Licences.
        _ => "text/plain; charset=utf-8",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_type_of_its_own_or_is_a_licence() {
        for path in Files::iter() {
            let is_text = media_type(&path) == "text/plain; charset=utf-8";
            assert_eq!(is_text, path.contains("LICENSE"), "{path}");
        }
    }

    #[test]
    fn files_are_found_and_nothing_outside_of_the_folder_is() {
        let page = Asset::at("index.html").expect("the page");
        assert_eq!(page.media_type, "text/html; charset=utf-8");
        assert!(page.etag.len() == 34 && !page.bytes.is_empty());
        for path in ["", "index", "../Cargo.toml", "app/../../Cargo.toml", "/etc/passwd", "vendor/README.md", "app"] {
            assert!(Asset::at(path).is_none(), "{path}");
        }
    }
}
