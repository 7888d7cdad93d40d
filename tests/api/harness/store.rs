//! A store to test with.

use bytes::Bytes;
use serde_json::Value;

use super::{
    larder::{Larder, STORES},
    reply::Reply,
    request::Request,
};

/// A store that was made through the API, and how to speak to it.
#[derive(Clone)]
pub(crate) struct Store {
    larder: Larder,
    /// The store's id.
    pub(crate) id: String,
}

impl Store {
    pub(crate) fn new(larder: &Larder, id: String) -> Self {
        Self { larder: larder.clone(), id }
    }

    /// Returns the gateway that serves it.
    pub(crate) fn larder(&self) -> &Larder {
        &self.larder
    }

    /// The same store behind another gateway.
    pub(crate) fn behind(&self, larder: &Larder) -> Self {
        Self::new(larder, self.id.clone())
    }

    /// Returns the path of something in the store; of the store itself when `rest` is empty.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("{STORES}/{}{rest}", self.id)
    }

    /// Creates a GET.
    pub(crate) fn get(&self, rest: &str) -> Request {
        self.larder.get(self.path(rest))
    }

    /// Creates a HEAD.
    pub(crate) fn head(&self, rest: &str) -> Request {
        self.larder.head(self.path(rest))
    }

    /// Creates a PUT.
    pub(crate) fn put(&self, rest: &str) -> Request {
        self.larder.put(self.path(rest))
    }

    /// Creates a POST.
    pub(crate) fn post(&self, rest: &str) -> Request {
        self.larder.post(self.path(rest))
    }

    /// Creates a DELETE.
    pub(crate) fn delete(&self, rest: &str) -> Request {
        self.larder.delete(self.path(rest))
    }

    /// Returns the store object.
    pub(crate) async fn object(&self) -> Value {
        self.get("").await.answers(200).data()
    }

    /// Writes a text.
    pub(crate) async fn put_text(&self, key: &str, text: &str) -> Reply {
        self.put_bytes(key, "text/plain", text.to_owned()).await
    }

    /// Writes bytes.
    pub(crate) async fn put_bytes(&self, key: &str, content_type: &str, bytes: impl Into<Bytes>) -> Reply {
        self.put(&format!("/records/{key}")).content_type(content_type).body(bytes).await.answers(201)
    }

    /// Writes bytes that are in a content coding.
    pub(crate) async fn put_coded(&self, key: &str, coding: &str, bytes: impl Into<Bytes>) -> Reply {
        let request = self.put(&format!("/records/{key}")).content_type("text/plain; charset=utf-8");
        request.field("Content-Encoding", coding).body(bytes).await.answers(201)
    }

    /// Reads a record that must be there.
    pub(crate) async fn record(&self, key: &str) -> Reply {
        self.get(&format!("/records/{key}")).await.answers(200)
    }

    /// Returns the keys of the first page.
    pub(crate) async fn keys(&self) -> Vec<String> {
        self.get("/keys").await.answers(200).texts_of_items("key")
    }
}
