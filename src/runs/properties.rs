//! What holds of runs, whatever bytes come: run over chosen bytes by the fuzz targets, and by the tests of the room
//! `fuzzing`. Nothing here is part of the program.
#![expect(clippy::missing_panics_doc, reason = "to panic is how a property is said not to hold")]

use crate::{
    clock::Timestamp,
    kv::properties::{json, verbatim},
};

use super::{actor::ActorName, layout, run::Run, status::RunStatus};

/// The document of a run reads back and answers what is asked of it; an appointment is the key that would be written for it.
pub fn run(bytes: &[u8]) {
    json::<Run>(bytes);
    if let Ok(run) = serde_json::from_slice::<Run>(bytes) {
        assert!(run.deadline().is_none_or(|deadline| deadline >= run.started_at));
        assert!(!run.input_key().is_empty() || !run.metamorphs.is_empty());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    verbatim::<ActorName>(text);
    if let Some((at, id)) = layout::parse_due(text) {
        assert_eq!(layout::due(at, &id), text);
    }
    if let Some(id) = layout::parse_entry(text) {
        assert!(layout::entry(Timestamp::from_millis(0), &id).ends_with(&text[text.len() - id.as_str().len()..]));
    }
    if let Some(status) = RunStatus::parse(text) {
        assert_eq!(status.as_str(), text);
    }
}
