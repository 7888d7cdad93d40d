//! JSON in bounded memory, time and stack: the memory cost before it is parsed, parsing only some members of an object,
//! and validation against a JSON Schema, off the serving threads.
//!
//! JSON Schema can ask for work that grows exponentially with the value. So a keyword of our own is inserted into
//! every subschema and counts how often subschemas are applied. At the bound it ends the validation by unwinding,
//! which no subschema can catch.

use std::{
    cell::Cell,
    fmt,
    mem::size_of,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    thread,
};

use bytes::Bytes;
use jsonschema::{Draft, Keyword, PatternOptions, ValidationError, Validator};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use tokio::{
    sync::{Semaphore, oneshot},
    task::spawn_blocking,
};

use crate::storage::Lease;

use super::errors::{Error, Result};

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
        insert_keyword(&mut counted);
        // Patterns run in linear time, so look-around and back-references are unsupported.
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
        jsonschema::options()
            .with_draft(Draft::Draft7)
            .offline()
            .with_pattern_options(patterns)
            .with_keyword(KEYWORD, |_, _, _| Ok(Box::new(Budget)))
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
        match with_budget(|| validator.validate(&value).map_err(|error| describe(&error))) {
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

/// The keyword. No other schema has it: names with this prefix are reserved.
const KEYWORD: &str = "x-larder-step";

/// Maximum number of subschema applications: a few seconds of work, and enough for a value of millions of members.
const MAX_STEPS: u32 = 5_000_000;

/// Keywords whose value is data, not a subschema.
const DATA: [&str; 4] = ["enum", "const", "default", "examples"];

/// Keywords whose value is a map from names to subschemas.
const NAMED: [&str; 5] = ["properties", "patternProperties", "definitions", "$defs", "dependencies"];

/// The bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BudgetExceeded;

thread_local! {
    static REMAINING: Cell<u32> = const { Cell::new(0) };
}

/// Counts subschema applications.
#[derive(Debug, Clone, Copy)]
struct Budget;

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
fn with_budget<T>(work: impl FnOnce() -> T) -> Result<T, BudgetExceeded> {
    REMAINING.set(MAX_STEPS);
    catch_unwind(AssertUnwindSafe(work)).map_err(|cause| match cause.downcast::<BudgetExceeded>() {
        Ok(out) => *out,
        Err(other) => resume_unwind(other),
    })
}

/// Inserts the keyword into every subschema.
fn insert_keyword(schema: &mut Value) {
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

/// Bytes per list element: lists grow by doubling.
const ELEMENT_BYTES: u64 = 2 * size_of::<Value>() as u64;

/// Bytes per object member in addition to its name, in the list of members and in the index of names.
const MEMBER_BYTES: u64 = 2 * (size_of::<Value>() + size_of::<String>() + 2 * size_of::<usize>()) as u64;

/// Returns the maximum memory, in bytes, of `json` as a [`Value`]. Fails if it is not JSON.
pub fn json_cost(json: &[u8]) -> serde_json::Result<u64> {
    let mut cost = 0;
    read(json, Cost(&mut cost))?;
    Ok(cost)
}

/// Returns the maximum memory, in bytes, of the members of the object `json` that [`members`] keeps. Fails if it is
/// not a JSON object.
pub fn members_cost(json: &[u8], names: &[&str]) -> serde_json::Result<u64> {
    let mut cost = 0;
    read(json, MembersCost { names, cost: &mut cost })?;
    Ok(cost)
}

/// Reads the members of the object `json` with one of `names`, and skips all others. Fails if it is not a JSON
/// object.
pub fn members(json: &[u8], names: &[&str]) -> serde_json::Result<Map<String, Value>> {
    read(json, Members { names })
}

fn read<'de, S: DeserializeSeed<'de>>(json: &'de [u8], seed: S) -> serde_json::Result<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Sums the memory of a value, without its own slot.
struct Cost<'a>(&'a mut u64);

impl<'de> DeserializeSeed<'de> for Cost<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cost<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        *self.0 += text.len() as u64;
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Cost(self.0))?.is_some() {
            *self.0 += ELEMENT_BYTES;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_key_seed(Cost(self.0))?.is_some() {
            *self.0 += MEMBER_BYTES;
            members.next_value_seed(Cost(self.0))?;
        }
        Ok(())
    }
}

/// Sums the memory of some members of an object.
struct MembersCost<'a> {
    names: &'a [&'a str],
    cost: &'a mut u64,
}

impl<'de> DeserializeSeed<'de> for MembersCost<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MembersCost<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(is_kept) = members.next_key_seed(Kept(self.names))? {
            match is_kept {
                Some(name) => {
                    *self.cost += MEMBER_BYTES + name.len() as u64;
                    members.next_value_seed(Cost(self.cost))?;
                }
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads some members of an object.
struct Members<'a> {
    names: &'a [&'a str],
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut kept = Map::new();
        while let Some(is_kept) = members.next_key_seed(Kept(self.names))? {
            match is_kept {
                Some(name) => drop(kept.insert(name.to_owned(), members.next_value()?)),
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(kept)
    }
}

/// Reads a name. Returns its index in a list of names, if it is there.
struct Kept<'a>(&'a [&'a str]);

impl<'a, 'de> DeserializeSeed<'de> for Kept<'a> {
    type Value = Option<&'a str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Kept<'a> {
    type Value = Option<&'a str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|kept| *kept == name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::storage::MemoryBudget;

    use super::*;

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

    #[test]
    fn what_json_takes_is_known_before_it_is_parsed() {
        assert_eq!(json_cost(b"1").expect("it is JSON"), 0);
        assert_eq!(json_cost(b"\"flour\"").expect("it is JSON"), 5);
        assert_eq!(json_cost(b"[1,2,[]]").expect("it is JSON"), 3 * ELEMENT_BYTES);
        assert_eq!(json_cost(b"{\"ab\":\"cd\"}").expect("it is JSON"), MEMBER_BYTES + 4);
        for bad in [&b"[1"[..], b"", b"1 2", b"{\"a\"}"] {
            assert!(json_cost(bad).is_err(), "{bad:?}");
        }
        assert!(json_cost("[".repeat(200).as_bytes()).is_err(), "as deep as this it is not parsed either");
    }

    #[test]
    fn members_that_no_call_asked_for_are_skipped_and_cost_nothing() {
        let json = b"{\"a\":[1,2],\"b\":[1,2,3,4,5,6,7,8,9],\"a\":7}";
        assert_eq!(
            members(json, &["a"]).expect("an object"),
            serde_json::json!({ "a": 7 }).as_object().cloned().expect("one")
        );
        assert_eq!(members_cost(json, &["a"]).expect("an object"), 2 * (MEMBER_BYTES + 1) + 2 * ELEMENT_BYTES);
        assert_eq!(members_cost(json, &[]).expect("an object"), 0);
        for bad in [&b"[]"[..], b"7", b"{} x", b"{\"b\":}"] {
            assert!(members(bad, &["a"]).is_err() && members_cost(bad, &["a"]).is_err(), "{bad:?}");
        }
    }
}
