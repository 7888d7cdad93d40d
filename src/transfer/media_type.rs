//! Media types of files by file name extension.

/// Returns the media type of files whose names end in `.{ending}`, with the charset if it has one: texts are assumed to
/// be UTF-8.
pub fn media_type(ending: &str) -> Option<String> {
    let media_type = mime_guess::from_ext(ending).first_raw()?;
    let is_text = media_type.starts_with("text/") || media_type == "application/json";
    Some(if is_text { format!("{media_type}; charset=utf-8") } else { media_type.to_owned() })
}
