//! A bound on the work of a validation.
//!
//! JSON Schema can ask for work that grows exponentially with the value. So a keyword of our own is inserted into
//! every subschema and counts how often subschemas are applied. At the bound it ends the validation by unwinding,
//! which no subschema can catch.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use jsonschema::{Keyword, ValidationError};
use serde_json::{Map, Value};

/// The keyword. No other schema has it: names with this prefix are reserved.
pub const KEYWORD: &str = "x-larder-step";

/// Maximum number of subschema applications: a few seconds of work, and enough for a value of millions of members.
const MAX_STEPS: u32 = 5_000_000;

/// Keywords whose value is data, not a subschema.
const DATA: [&str; 4] = ["enum", "const", "default", "examples"];

/// Keywords whose value is a map from names to subschemas.
const NAMED: [&str; 5] = ["properties", "patternProperties", "definitions", "$defs", "dependencies"];

/// The bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetExceeded;

thread_local! {
    static REMAINING: Cell<u32> = const { Cell::new(0) };
}

/// Counts subschema applications.
#[derive(Debug, Clone, Copy)]
pub struct Budget;

impl Budget {
    fn consume() {
        match REMAINING.get().checked_sub(1) {
            Some(remaining) => REMAINING.set(remaining),
            // Not a panic: this is no defect, and must print nothing.
            None => resume_unwind(Box::new(BudgetExceeded)),
        }
    }
}

impl<'i> Keyword<'i> for Budget {
    fn validate(&self, _: &'i Value) -> Result<(), ValidationError<'i>> {
        Self::consume();
        Ok(())
    }

    fn is_valid(&self, _: &'i Value) -> bool {
        Self::consume();
        true
    }
}

/// Returns the result of `work` unless it takes too many steps. Other unwinding passes through.
pub fn with_budget<T>(work: impl FnOnce() -> T) -> Result<T, BudgetExceeded> {
    REMAINING.set(MAX_STEPS);
    catch_unwind(AssertUnwindSafe(work)).map_err(|cause| match cause.downcast::<BudgetExceeded>() {
        Ok(out) => *out,
        Err(other) => resume_unwind(other),
    })
}

/// Inserts the keyword into every subschema.
pub fn insert_keyword(schema: &mut Value) {
    let Value::Object(part) = schema else { return };
    for (keyword, value) in part.iter_mut() {
        match value {
            _ if DATA.contains(&keyword.as_str()) => {}
            Value::Object(named) if NAMED.contains(&keyword.as_str()) => insert_keyword_into_all(named),
            Value::Object(_) => insert_keyword(value),
            Value::Array(parts) => parts.iter_mut().for_each(insert_keyword),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    part.insert(KEYWORD.to_owned(), Value::Bool(true));
}

fn insert_keyword_into_all(named: &mut Map<String, Value>) {
    named.values_mut().for_each(insert_keyword);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_part_of_a_schema_counts_and_data_does_not() {
        let mut schema = json!({
            "properties": { "properties": { "type": "string" } },
            "items": [{ "const": { "a": 1 } }],
            "anyOf": [true, { "not": {} }],
            "enum": [{ "b": 2 }]
        });
        insert_keyword(&mut schema);
        let expected = json!({
            "properties": { "properties": { "type": "string", KEYWORD: true } },
            "items": [{ "const": { "a": 1 }, KEYWORD: true }],
            "anyOf": [true, { "not": { KEYWORD: true }, KEYWORD: true }],
            "enum": [{ "b": 2 }],
            KEYWORD: true
        });
        assert_eq!(schema, expected);
    }

    #[test]
    fn work_without_end_is_ended() {
        let endless = || {
            loop {
                Budget::consume();
            }
        };
        assert_eq!(with_budget(endless), Err::<(), _>(BudgetExceeded));
        assert_eq!(with_budget(|| 7), Ok(7));
    }
}
