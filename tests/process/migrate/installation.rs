//! An installation that is migrated: its data, and its users' view of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{client::Client, program::Program};

/// Path of stores.
pub const STORES: &str = "/v2/key-value-stores";

/// Types and codings of records, in turn.
const KINDS: [(&str, &str); 5] = [
    ("application/json; charset=utf-8", ""),
    ("text/plain; charset=utf-8", "content-encoding: gzip\r\n"),
    ("text/html", "content-encoding: br\r\n"),
    ("application/x-anything; a=\"b c\"", ""),
    ("image/png", "content-encoding: deflate\r\n"),
];

/// Members of a store that a migration must not change.
const LASTING: [&str; 13] = [
    "id",
    "name",
    "title",
    "userId",
    "username",
    "createdAt",
    "modifiedAt",
    "actId",
    "actRunId",
    "generalAccess",
    "schema",
    "retentionDays",
    "urlSigningSecretKey",
];

/// Tolerance of a store's expiry, in milliseconds: a step of its extension.
const STEP_MILLIS: i64 = 60_000;

/// A caller with a connection of its own.
pub struct Caller(Client);

impl Caller {
    pub fn new(gateway: &Program, token: &str) -> Self {
        Self(Client::connect(gateway.address, token).expect("it accepts"))
    }

    fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> (u16, BTreeMap<String, String>, Vec<u8>) {
        let length = body.len();
        self.0.begin(method, path, &format!("{headers}content-length: {length}\r\n")).expect("it is sent");
        self.0.write(body).expect("it is sent");
        let mut answer = self.0.answer(false).expect("an answer");
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut answer.body, &mut bytes).expect("its end");
        let headers = answer.headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        (answer.status, headers, bytes)
    }

    /// Returns the `data` of an answer.
    pub fn ask(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let (status, _, bytes) = self.send(method, path, "content-type: application/json\r\n", text.as_bytes());
        assert!((200..300).contains(&status), "{method} {path}: {status} {}", String::from_utf8_lossy(&bytes));
        serde_json::from_slice::<Value>(&bytes).map(|mut answer| answer["data"].take()).unwrap_or_default()
    }

    pub fn get(&mut self, path: &str) -> Value {
        self.ask("GET", path, &Value::Null)
    }
}

/// Fills an installation with users, tokens, shares, runs and so many stores; the tokens.
pub fn fill(gateway: &Program, admin: &str, stores: usize) -> Vec<String> {
    let (mut admin, mut tokens) = (Caller::new(gateway, admin), vec![admin.to_owned()]);
    for user in ["baker", "miller", "butcher"] {
        admin.ask("POST", "/larder/v1/users", &json!({ "username": user }));
        let made = admin.ask("POST", "/larder/v1/tokens", &json!({ "username": user, "name": "ci" }));
        tokens.push(made["token"].as_str().expect("it is shown").to_owned());
    }
    admin.ask("PUT", "/larder/v1/users/butcher", &json!({ "isDisabled": true }));
    let mut baker = Caller::new(gateway, &tokens[1]);
    for number in 0..stores {
        let owner = if number % 3 == 0 { &mut baker } else { &mut admin };
        let path = if number % 2 == 0 { format!("{STORES}?name=store-{number}") } else { STORES.to_owned() };
        let id = owner.ask("POST", &path, &Value::Null)["id"].as_str().expect("an id").to_owned();
        let path = format!("{STORES}/{id}");
        match number % 10 {
            1 => drop(owner.ask("PUT", &path, &json!({ "retentionDays": 30, "title": format!("Store {number}") }))),
            2 => drop(owner.ask("PUT", &path, &json!({ "generalAccess": "ANYONE_WITH_ID_CAN_READ" }))),
            3 => drop(owner.ask("PUT", &format!("/larder/v1/stores/{id}/access/miller"), &json!({ "right": "write" }))),
            // Over a folder its records stay where they expire.
            5 => drop(owner.ask("PUT", &path, &json!({ "name": format!("named-later-{number}") }))),
            _ => {}
        }
        let (content_type, coding) = KINDS[number % KINDS.len()];
        let size = if number % 50 == 7 { 300_000 } else { number % 700 };
        let key = if number % 10 == 4 { "k".repeat(256) } else { format!("a'(b)!-{number}") };
        let bytes: Vec<u8> = (0..size).map(|at| u8::try_from((at * 31 + number) % 256).unwrap_or_default()).collect();
        let bytes =
            if content_type.starts_with("application/json") { format!("[{number}]").into_bytes() } else { bytes };
        let headers = format!("content-type: {content_type}\r\n{coding}");
        let (status, _, answer) = owner.send("PUT", &format!("{path}/records/{key}"), &headers, &bytes);
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));
    }
    for (number, end) in [json!({ "exitCode": 0 }), json!({ "exitCode": 3 }), Value::Null].into_iter().enumerate() {
        let run = baker.ask("POST", "/v2/acts/oven/runs", &json!({ "dough": number }));
        if !end.is_null() {
            baker.ask("POST", &format!("/larder/v1/runs/{}/finish", run["id"].as_str().expect("an id")), &end);
        }
    }
    tokens
}

/// View that the users of an installation have of it.
#[derive(Debug, Default, PartialEq)]
pub struct Seen {
    by_path: BTreeMap<String, Value>,
    pub records: BTreeMap<String, (String, Option<String>, Vec<u8>)>,
    pub ends: BTreeMap<String, Option<jiff::Timestamp>>,
}

impl Seen {
    pub fn by(gateway: &Program, tokens: &[String]) -> Self {
        let mut seen = Self::default();
        let mut admin = Caller::new(gateway, &tokens[0]);
        for path in
            ["/larder/v1/users?limit=100", "/larder/v1/tokens?username=baker", "/larder/v1/tokens?username=butcher"]
        {
            seen.note(path, without_uses(admin.get(path)));
        }
        for (number, token) in tokens.iter().enumerate() {
            let mut caller = Caller::new(gateway, token);
            let (status, _, _) = caller.send("GET", "/v2/users/me", "", b"");
            seen.note(&format!("/v2/users/me as {number}"), json!(status));
            if status != 200 {
                continue;
            }
            for path in ["/v2/actor-runs?limit=1000", "/v2/acts/oven/runs?limit=10"] {
                let (status, _, bytes) = caller.send("GET", path, "", b"");
                seen.note(&format!("{path} as {number}"), json!([status, String::from_utf8_lossy(&bytes)]));
            }
            let shared = caller.get(&format!("{STORES}?unnamed=1&limit=1000&ownership=sharedWithMe"));
            seen.note(&format!("shared with {number}"), json!(ids(&shared)));
            for id in ids(&caller.get(&format!("{STORES}?ownership=ownedByMe&unnamed=1&limit=1000"))) {
                seen.store(&mut caller, &id);
            }
        }
        seen
    }

    fn store(&mut self, caller: &mut Caller, id: &str) {
        let path = format!("{STORES}/{id}");
        let store = caller.get(&path);
        let end = store["expiresAt"].as_str().map(|end| end.parse().expect("a time"));
        self.ends.insert(id.to_owned(), end);
        let lasting = LASTING.iter().map(|name| (*name, store[*name].clone())).collect::<BTreeMap<_, _>>();
        self.note(&path, json!(lasting));
        let access = format!("/larder/v1/stores/{id}/access");
        let users = caller.get(&access);
        self.note(&access, users);
        let keys = caller.get(&format!("{path}/keys"));
        for key in keys["items"].as_array().expect("a list") {
            let path = format!("{path}/records/{}", key["key"].as_str().expect("a key"));
            let (status, headers, bytes) = caller.send("GET", &path, "accept-encoding: gzip, br, deflate\r\n", b"");
            assert_eq!(status, 200, "{path}");
            let coding = headers.get("content-encoding").cloned();
            self.records.insert(path, (headers["content-type"].clone(), coding, bytes));
        }
        self.note(&format!("{path}/keys"), keys);
    }

    fn note(&mut self, path: &str, value: Value) {
        self.by_path.insert(path.to_owned(), value);
    }

    pub fn is_same_as(&self, before: &Self) {
        for (path, value) in &before.by_path {
            assert_eq!(self.by_path.get(path), Some(value), "{path}");
        }
        assert_eq!(self.by_path.len(), before.by_path.len());
        assert!(self.records == before.records, "records differ");
        for (id, end) in &before.ends {
            let found = self.ends.get(id).copied().flatten();
            let millis = |end: jiff::Timestamp| end.as_millisecond();
            let distance = found.map(millis).zip(end.map(millis)).map_or(0, |(one, other)| (one - other).abs());
            assert!(found.is_some() == end.is_some() && distance <= STEP_MILLIS, "{id}: {found:?} for {end:?}");
        }
    }
}

pub fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("a list");
    items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

/// Returns when a token was used last is not the migration's to keep.
fn without_uses(mut list: Value) -> Value {
    for item in list["items"].as_array_mut().into_iter().flatten() {
        item.as_object_mut().expect("an object").remove("lastUsedAt");
    }
    list
}
