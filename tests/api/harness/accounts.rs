//! Users, their tokens, and what they share.

use serde_json::{Value, json};

use super::{
    larder::{Larder, PUBLIC_URL},
    reply::Reply,
    request::Request,
    store::Store,
};

impl Larder {
    /// Creates a user, and returns a token of theirs with all their rights.
    pub(crate) async fn user(&self, username: &str) -> String {
        let made = self.post("/larder/v1/users").json(&json!({ "username": username })).await.answers(201);
        assert_eq!(made.text("username"), username);
        self.token_of(username, &Value::Null).await
    }

    /// Makes a token of `username`'s that is limited to `scope`.
    pub(crate) async fn token_of(&self, username: &str, scope: &Value) -> String {
        let body = json!({ "username": username, "name": "of a test", "scope": scope });
        self.post("/larder/v1/tokens").json(&body).await.answers(201).text("token")
    }

    /// Follows a link of a response, without a token.
    pub(crate) fn follow(&self, link: &str) -> Request {
        let target = link.strip_prefix(PUBLIC_URL).unwrap_or_else(|| panic!("{link} is no link of ours"));
        self.get(target).anonymous()
    }
}

impl Store {
    /// Gives a user a right.
    pub(crate) async fn share(&self, username: &str, right: &str) -> Reply {
        let path = format!("/larder/v1/stores/{}/access/{username}", self.id);
        self.larder().put(path).json(&json!({ "right": right })).await.answers(200)
    }

    /// Grants general access, as far as `general_access` says.
    pub(crate) async fn open_to(&self, general_access: &str) {
        let changed = self.put("").json(&json!({ "generalAccess": general_access })).await.answers(200);
        assert_eq!(changed.text("generalAccess"), general_access);
    }
}
