//! Imports between rooms: only rooms of a lower rank.

use crate::modules::Module;

/// The rooms and their ranks. Rooms of one rank never import each other; `main` only starts `cli`.
const RANKS: [(&str, u8); 18] = [
    ("clock", 0),
    ("network", 0),
    ("telemetry", 0),
    ("peer", 1),
    ("server", 1),
    ("storage", 1),
    ("kv", 2),
    ("auth", 3),
    ("runs", 3),
    ("api", 4),
    ("console", 4),
    ("jobs", 4),
    ("transfer", 4),
    ("config", 5),
    ("fuzzing", 6),
    ("gateway", 6),
    ("cli", 7),
    ("main", 8),
];

fn rank(room: &str) -> Option<u8> {
    RANKS.iter().find(|(name, _)| *name == room).map(|(_, rank)| *rank)
}

/// Returns the wrong imports of rooms by a module, its tests included.
pub fn complaints(module: &Module, modules: &[Module]) -> Vec<String> {
    // The crate's root only declares the rooms.
    let Some(room) = module.path.first() else { return Vec::new() };
    let Some(own) = rank(room) else {
        return vec![format!("{}: the room {room:?} has no rank; give it one in tests/tidy/rooms.rs", module.file)];
    };
    let mut found = Vec::new();
    for import in module.imports(modules) {
        let Some(other) = import.target.first() else { continue };
        let wrong = match rank(other) {
            _ if other == room => continue,
            Some(rank) if rank < own => continue,
            Some(rank) if rank == own => format!("is its sibling (both have rank {own})"),
            Some(rank) => format!("stands above it (rank {rank} over {own})"),
            None => "is no room: nothing but rooms belongs at the root of the crate".to_owned(),
        };
        found.push(format!("{}:{}: {room} imports {other}, which {wrong}", module.file, import.line));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        complaints(&Module::read(file, text).expect("a file of src"), &[])
    }

    #[test]
    fn a_room_below_may_be_imported() {
        assert!(found("src/api/call.rs", "use crate::kv::StoreId; use super::query::Query; use std::fmt;").is_empty());
        assert!(found("src/main.rs", "fn main() { larder::cli::run() }").is_empty());
        assert!(found("src/lib.rs", "pub mod api; pub use api::Service;").is_empty());
    }

    #[test]
    fn a_room_above_a_sibling_and_a_stranger_may_not() {
        assert!(found("src/kv/key.rs", "use crate::api::Reply;")[0].contains("stands above"));
        assert!(found("src/storage/memory.rs", "use crate::server::Limits;")[0].contains("sibling"));
        assert!(found("src/kv/key.rs", "use crate::misplaced::Thing;")[0].contains("no room"));
        assert!(found("src/new/thing.rs", "")[0].contains("no rank"));
    }

    #[test]
    fn tests_of_a_room_are_no_exception() {
        let found = found("src/kv/key.rs", "\n\nmod tests { use super::*; fn f() { crate::api::g() } }");
        assert_eq!(found, ["src/kv/key.rs:3: kv imports api, which stands above it (rank 4 over 2)"]);
    }
}
