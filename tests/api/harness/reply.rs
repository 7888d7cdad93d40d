//! Replies, and the assertions on them. Every complaint names the request and the reply.

use std::fmt;

use bytes::Bytes;
use serde_json::Value;

/// Maximum number of characters of a body that a complaint shows.
const SHOWN: usize = 300;

/// A reply, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// The request that it answers.
    pub(crate) what: String,
    /// The status.
    pub(crate) status: u16,
    /// The header fields, in order, names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Bytes,
}

impl Reply {
    /// Returns the one value of a header field; `None` without one.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
        let first = values.next();
        assert!(values.next().is_none(), "{self} has the field {name} more than once: {:?}", self.fields);
        first
    }

    /// Returns the one value of a header field that must be there.
    #[track_caller]
    pub(crate) fn expect_field(&self, name: &str) -> &str {
        self.field(name).unwrap_or_else(|| panic!("{self} has no field {name}: {:?}", self.fields))
    }

    /// Returns `true` if the connection it came over may be used again.
    #[track_caller]
    pub(crate) fn keeps_connection(&self) -> bool {
        self.field("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"))
    }

    /// Demands the status.
    #[track_caller]
    pub(crate) fn answers(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Demands one of several statuses.
    #[track_caller]
    pub(crate) fn answers_one_of(self, statuses: &[u16]) -> Self {
        assert!(statuses.contains(&self.status), "{self}, expected one of {statuses:?}");
        self
    }

    /// Demands an error of this status and type, told as the contract says. Gives its message.
    #[track_caller]
    pub(crate) fn fails(&self, status: u16, kind: &str) -> String {
        let message = self.fails_with(status);
        assert_eq!(self.json()["error"]["type"], kind, "{self}");
        message
    }

    /// Demands an error of this status and any type, told as the contract says. Gives its message.
    #[track_caller]
    pub(crate) fn fails_with(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self}");
        let content_type = self.expect_field("content-type");
        assert_eq!(content_type, "application/json; charset=utf-8", "{self}: the media type of an error");
        let error = &self.json()["error"];
        let kind = error["type"].as_str().unwrap_or_else(|| panic!("{self}: error.type is no string"));
        assert!(!kind.is_empty(), "{self}: error.type is empty");
        let message = error["message"].as_str().unwrap_or_else(|| panic!("{self}: error.message is no string"));
        assert!(!message.is_empty(), "{self}: error.message is empty");
        message.to_owned()
    }

    /// Demands an error that blames the client, told as the contract says.
    #[track_caller]
    pub(crate) fn fails_by_the_client(&self) {
        assert!((400..500).contains(&self.status), "{self}, expected the client to be blamed");
        self.fails_with(self.status);
    }

    /// Demands an error of any status and type, told as the contract says.
    #[track_caller]
    pub(crate) fn fails_with_any(&self) {
        assert!(self.status >= 400, "{self}, expected a refusal");
        self.fails_with(self.status);
    }

    /// Returns the body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{self} is not JSON: {error}"))
    }

    /// Returns the contents of the envelope of a successful response.
    #[track_caller]
    pub(crate) fn data(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self}");
        let content_type = self.expect_field("content-type");
        assert!(content_type.starts_with("application/json"), "{self} is of type {content_type:?}");
        let mut envelope = self.json();
        assert!(envelope.get("data").is_some(), "{self} has no data");
        envelope["data"].take()
    }

    /// Returns a text in the data of a successful answer.
    #[track_caller]
    pub(crate) fn text(&self, member: &str) -> String {
        let data = self.data();
        data[member].as_str().unwrap_or_else(|| panic!("{self}: data.{member} is no string")).to_owned()
    }

    /// Texts of the items of a page.
    #[track_caller]
    pub(crate) fn texts_of_items(&self, member: &str) -> Vec<String> {
        let data = self.data();
        let items = data["items"].as_array().unwrap_or_else(|| panic!("{self}: data.items is no array"));
        let text = |item: &Value| item[member].as_str().map(str::to_owned);
        items.iter().map(|item| text(item).unwrap_or_else(|| panic!("{self}: no {member} in {item}"))).collect()
    }

    /// Demands these bytes.
    #[track_caller]
    pub(crate) fn holds(self, bytes: &[u8]) -> Self {
        let expected = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
        assert!(self.body == bytes, "{self}, expected {} bytes: {expected}", bytes.len());
        self
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(SHOWN)]);
        write!(f, "{} -> {} with {} bytes {body:?}", self.what, self.status, self.body.len())
    }
}
