//! Round trips: what is parsed and written again is the same.

use std::str::FromStr;

use serde::{Serialize, de::DeserializeOwned};

/// Checks that a `T` survives a round trip, and then serializes to the same bytes.
pub fn json<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(document) = serde_json::from_slice::<T>(bytes) else { return };
    let written = serde_json::to_vec(&document).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(serde_json::to_vec(&again).expect("and written again"), written);
}

/// Checks that a parsed `T` formats to the same text.
pub fn verbatim<T: FromStr + ToString>(text: &str) {
    if let Ok(parsed) = text.parse::<T>() {
        assert_eq!(parsed.to_string(), text);
    }
}
