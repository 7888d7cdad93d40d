//! Files of the console. They are embedded in the program; a build without optimisation reads them from their folder,
//! so that changes show without a rebuild.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;
use rust_embed::RustEmbed;

/// The folder `console`, without files that only its developers need.
#[derive(RustEmbed)]
#[folder = "console"]
#[exclude = "*.md"]
#[exclude = "*.d.ts"]
#[exclude = "*.d.mts"]
struct Files;

/// Media type of pages.
const HTML: &str = "text/html; charset=utf-8";

/// File of the console.
#[derive(Debug)]
pub(super) struct Asset {
    /// The file's bytes.
    pub(super) bytes: Bytes,
    /// The file's media type.
    pub(super) media_type: HeaderValue,
    /// The file's `ETag` in quotes, different for every content.
    pub(super) etag: String,
}

impl Asset {
    /// Returns the file at a path inside the folder, without a leading slash; `None` if there is none.
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

    /// Returns the file for the base path `root`: a page refers to its files by absolute paths.
    pub(super) fn below(self, root: &str) -> Self {
        if root.is_empty() || self.media_type != HTML {
            return self;
        }
        let text = String::from_utf8_lossy(&self.bytes).replace("\"/console/", &format!("\"{root}/console/"));
        let etag = format!("{}{root}\"", self.etag.trim_end_matches('"'));
        Self { bytes: text.into(), etag, ..self }
    }
}

/// Returns the media type of a file, by its extension.
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
