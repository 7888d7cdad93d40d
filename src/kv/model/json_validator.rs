//! Validation of JSON against a JSON Schema, in bounded time and stack, off the serving threads.

use std::{fmt, sync::Arc, thread};

use bytes::Bytes;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;
use tokio::{
    sync::{Semaphore, oneshot},
    task::spawn_blocking,
};

use crate::storage::Lease;

use super::{
    errors::{Error, Result},
    json_cost::json_cost,
    validation_budget::{self, Budget, BudgetExceeded},
};

/// Maximum number of concurrent validations, each on a thread of its own; more wait.
const MAX_CONCURRENT_VALIDATIONS: usize = 2;

/// Stack size of a validation. Values and schemas are at most 128 levels deep (`serde_json` rejects more), and each
/// level of one may go through each level of the other. Only the used part takes memory.
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// Maximum memory of a compiled pattern of a schema, in bytes.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;

/// Maximum bytes of JSON whose memory cost is computed on a serving thread.
const MAX_INLINE_MEASURED_BYTES: usize = 64 * 1024;

/// Maximum length in characters of a message about a value, which may quote the value.
const MAX_MESSAGE_LENGTH: usize = 500;

static PERMITS: Semaphore = Semaphore::const_new(MAX_CONCURRENT_VALIDATIONS);

/// A JSON Schema (Draft 07), ready to check values.
pub struct JsonValidator(Validator);

impl JsonValidator {
    /// Compiles a schema. The error says what is wrong with it; references to other documents are errors.
    pub fn new(schema: &Value) -> Result<Self, String> {
        let mut counted = schema.clone();
        validation_budget::insert_keyword(&mut counted);
        // Patterns run in linear time, so look-around and back-references are unsupported.
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
        jsonschema::options()
            .with_draft(Draft::Draft7)
            .offline()
            .with_pattern_options(patterns)
            .with_keyword(validation_budget::KEYWORD, |_, _, _| Ok(Box::new(Budget)))
            .build(&counted)
            .map(Self)
            .map_err(|error| shortened(&error.to_string()))
    }

    /// Checks that `json` is JSON and satisfies each of `validators`. `lease` accounts for the parsed values, at most
    /// `max_bytes` bytes.
    pub async fn check(validators: Vec<Arc<Self>>, json: Bytes, lease: &Lease, max_bytes: u64) -> Result<()> {
        let cost = measure_cost(&json).await?;
        if cost > max_bytes {
            let message =
                format!("checking the record takes {cost} bytes of memory, and at most {max_bytes} are there for it");
            return Err(Error::SchemaViolation(message));
        }
        lease.grow(cost).await.map_err(Error::Body)?;
        let _permit = PERMITS.acquire().await.map_err(Error::unavailable)?;
        let (sender, receiver) = oneshot::channel();
        let held = lease.clone();
        let work = move || {
            // The request may have ended meanwhile; the lease is held until the validation ends.
            let _ = sender.send(check(&validators, &json));
            drop(held);
        };
        thread::Builder::new()
            .name("schema-validation".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(work)
            .map_err(Error::unavailable)?;
        receiver.await.map_err(Error::unavailable)?.map_err(Error::SchemaViolation)
    }
}

/// Returns the memory, in bytes, of the values of `json`. Large texts are measured on a blocking thread.
async fn measure_cost(json: &Bytes) -> Result<u64> {
    let measured = if json.len() <= MAX_INLINE_MEASURED_BYTES {
        json_cost(json)
    } else {
        let json = json.clone();
        spawn_blocking(move || json_cost(&json)).await.map_err(Error::unavailable)?
    };
    measured.map_err(|error| Error::SchemaViolation(format!("the record is not JSON: {error}")))
}

fn check(validators: &[Arc<JsonValidator>], json: &[u8]) -> Result<(), String> {
    let value: Value = serde_json::from_slice(json).map_err(|error| format!("the record is not JSON: {error}"))?;
    for JsonValidator(validator) in validators.iter().map(AsRef::as_ref) {
        match validation_budget::with_budget(|| validator.validate(&value).map_err(|error| describe(&error))) {
            Ok(outcome) => outcome?,
            Err(BudgetExceeded) => return Err("validating the record takes too long; simplify the schema".to_owned()),
        }
    }
    Ok(())
}

fn describe(error: &jsonschema::ValidationError<'_>) -> String {
    let path = error.instance_path().to_string();
    let path = if path.is_empty() { "the record".to_owned() } else { path };
    shortened(&format!("{path}: {error}"))
}

fn shortened(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE_LENGTH) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message.to_owned(),
    }
}

impl fmt::Debug for JsonValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonValidator").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::storage::MemoryBudget;

    async fn check(schema: Value, json: &str) -> Result<(), String> {
        let validator = JsonValidator::new(&schema)?;
        let (json, memory) = (Bytes::copy_from_slice(json.as_bytes()), Arc::new(MemoryBudget::default()));
        match JsonValidator::check(vec![Arc::new(validator)], json, &memory.lease(), memory.limit()).await {
            Ok(()) => Ok(()),
            Err(Error::SchemaViolation(message)) => Err(message),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[tokio::test]
    async fn a_value_is_checked_and_the_message_tells_the_place() {
        let schema = json!({ "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"] });
        assert_eq!(check(schema.clone(), "{\"a\":1}").await, Ok(()));
        let message = check(schema.clone(), "{\"a\":\"one\"}").await.expect_err("a text is no integer");
        assert!(message.starts_with("/a: "), "{message}");
        assert!(check(schema.clone(), "{}").await.is_err());
        assert!(check(schema, "{").await.expect_err("half an object").contains("not JSON"));
    }

    #[tokio::test]
    async fn a_record_whose_values_would_take_more_memory_than_there_is_is_refused_unparsed() {
        let numbers = format!("[{}1]", "1,".repeat(4 << 20));
        let refused = check(json!({}), &numbers).await.expect_err("it takes hundreds of megabytes");
        assert!(refused.contains("bytes of memory"), "{refused}");
    }

    #[tokio::test]
    async fn a_schema_that_refers_to_itself_checks_trees() {
        let schema = json!({ "type": "array", "items": { "$ref": "#" } });
        assert_eq!(check(schema.clone(), &nested(100)).await, Ok(()));
        assert!(check(schema, "[[1]]").await.is_err());
    }

    #[tokio::test]
    async fn a_schema_that_asks_for_exponential_work_ends() {
        let again = json!({ "items": { "$ref": "#" } });
        let schema = json!({ "anyOf": [again, again, { "type": "string" }], "not": { "allOf": [again, again] } });
        // Any result is acceptable.
        let _ = check(schema, &nested(120)).await;
        let doubling: serde_json::Map<_, _> = (0..60)
            .map(|level| {
                let next = json!({ "$ref": format!("#/definitions/d{}", level + 1) });
                (format!("d{level}"), json!({ "allOf": [next, next] }))
            })
            .chain([("d60".to_owned(), json!({ "type": "string" }))])
            .collect();
        let _ = check(json!({ "$ref": "#/definitions/d0", "definitions": doubling }), "\"text\"").await;
    }

    #[tokio::test]
    async fn a_schema_that_goes_round_in_place_ends() {
        for schema in [
            json!({ "$ref": "#" }),
            json!({ "allOf": [{ "$ref": "#" }] }),
            json!({ "$ref": "#/definitions/a", "definitions": { "a": { "$ref": "#/definitions/b" }, "b": { "$ref": "#/definitions/a" } } }),
            json!({ "not": { "$ref": "#" } }),
        ] {
            let _ = check(schema, "{}").await;
        }
    }

    #[tokio::test]
    async fn a_pattern_that_would_backtrack_for_ever_ends() {
        let schema = json!({ "pattern": "^(a+)+$" });
        let text = format!("\"{}b\"", "a".repeat(100_000));
        assert!(check(schema, &text).await.is_err());
        assert!(JsonValidator::new(&json!({ "pattern": "(((a{100}){100}){100}){100}" })).is_err(), "it is too large");
    }
}
