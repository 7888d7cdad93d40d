//! References to stores by users: a name, `~name`, `user~name` or an id.

use crate::kv::StoreId;

/// Returns the possible addresses of the store that `text` refers to, in the order of the attempts. An id has 17
/// letters and digits, and so may a name: such a text is tried as an id first. With `~` it is always a name.
pub fn store_addresses(text: &str) -> Vec<String> {
    let (as_written, as_name) = (text.to_owned(), format!("~{text}"));
    if text.contains(['~', '/']) {
        vec![as_written]
    } else if text.parse::<StoreId>().is_ok() {
        vec![as_written, as_name]
    } else {
        vec![as_name]
    }
}

/// Describes the missing store, for an error: `no store has the name "pantry"`.
pub fn absent_store(text: &str) -> String {
    match text.split_once('~') {
        Some(("", name)) => format!("no store has the name {name:?}"),
        Some((user, name)) => format!("user {user:?} has no store with the name {name:?} that this token opens"),
        None if text.parse::<StoreId>().is_ok() => format!("no store has the id or the name {text:?}"),
        None => format!("no store has the name {text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_name_and_what_looks_like_an_id_is_tried_as_one_first() {
        assert_eq!(store_addresses("pantry"), ["~pantry"]);
        assert_eq!(store_addresses("~pantry"), ["~pantry"]);
        assert_eq!(store_addresses("baker~pantry"), ["baker~pantry"]);
        assert_eq!(store_addresses("A2345678901234567"), ["A2345678901234567", "~A2345678901234567"]);
        assert_eq!(store_addresses("~A2345678901234567"), ["~A2345678901234567"]);
        assert_eq!(store_addresses("A234567890123456-"), ["~A234567890123456-"]);
    }

    #[test]
    fn an_error_says_what_was_looked_for() {
        for (text, said) in [
            ("pantry", "no store has the name \"pantry\""),
            ("~pantry", "no store has the name \"pantry\""),
            ("baker~pantry", "user \"baker\" has no store with the name \"pantry\" that this token opens"),
            ("A2345678901234567", "no store has the id or the name \"A2345678901234567\""),
        ] {
            assert_eq!(absent_store(text), said);
        }
    }
}
