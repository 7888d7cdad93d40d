//! `larder stores`, and the part of `larder store` that creates and deletes stores.

use serde_json::Value;

use super::{
    exit::Failure,
    http::segment,
    output,
    table::{self, Column, Format, Lines},
    target::Door,
};

/// Columns of the list of stores.
const STORES: [Column; 5] = [
    Column::text("ID", 17),
    Column::text("MODIFIED", 19),
    Column::number("RECORDS", 9),
    Column::number("SIZE", 10),
    Column::text("NAME", 0),
];

/// Lists the stores of the caller; with `with_unnamed` also those without a name.
pub(super) fn list(door: &Door, with_unnamed: bool, format: Format) -> Result<(), Failure> {
    let path = format!("/v2/key-value-stores?unnamed={}", u8::from(with_unnamed));
    let mut lines = Lines::new(format, &STORES);
    let cells = |store: &Value| {
        let stats = &store["stats"];
        vec![
            table::text(&store["id"]),
            table::time(&store["modifiedAt"]),
            table::text(&stats["itemCount"]),
            table::size(&stats["storageBytes"]),
            table::text(&store["name"]),
        ]
    };
    Ok(table::list(door, &path, &mut lines, cells)?)
}

/// Creates a store of this name unless it exists, and shows it: for people only its id.
pub(super) fn create(door: &Door, name: &str, format: Format) -> Result<(), Failure> {
    let name = name.strip_prefix('~').unwrap_or(name);
    let made = door.ask("POST", &format!("/v2/key-value-stores?name={}", segment(name)), None)?;
    match format {
        Format::Json => table::show(format, &made),
        Format::Table => output::say(&table::text(&made["id"])),
    }
    Ok(())
}

/// Deletes a store with all its records.
pub(super) fn delete(door: &Door, store: &str) -> Result<(), Failure> {
    let store = door.find_store(store)?;
    door.ask("DELETE", &store.path, None)?;
    Ok(())
}
