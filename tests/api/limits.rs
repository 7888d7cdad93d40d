//! Limits: sizes of records, and durations, times and numbers in requests. No value is too much for the gateway.

use std::time::Duration;

use bytes::Bytes;
use larder::clock::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Connection, Larder, STORES, Store, TOKEN};

const DAY: Duration = Duration::from_hours(24);

/// The longest time until the end of a token, in days.
const TOKEN_DAYS: u32 = 36_525;

/// The largest number of a quota.
const MAX_QUOTA: u64 = (1 << 53) - 1;

/// Values that every member and every parameter that counts something rejects. Numbers are sent as texts of JSON.
const NEVER: [&str; 9] = [
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775808",
    "-1",
    "-9223372036854775808",
    "1e300",
    "\"7\"",
    "[]",
    "true",
];

/// A request of a method and path, by JSON text around the value.
struct Member {
    method: &'static str,
    path: String,
    before: String,
    taken: Vec<String>,
    refused: Vec<String>,
}

impl Member {
    fn new(method: &'static str, path: impl Into<String>, before: impl Into<String>) -> Self {
        Self { method, path: path.into(), before: before.into(), taken: Vec::new(), refused: Vec::new() }
    }

    fn takes(mut self, values: &[&dyn ToString]) -> Self {
        self.taken = values.iter().map(|value| value.to_string()).collect();
        self
    }

    fn refuses(mut self, values: &[&dyn ToString]) -> Self {
        self.refused = values.iter().map(|value| value.to_string()).collect();
        self
    }

    /// Returns the body with `value` in it: the braces that `before` opens are closed.
    fn body(&self, value: &str) -> String {
        format!("{}{value}{}", self.before, "}".repeat(self.before.matches('{').count()))
    }
}

fn date(moment: Timestamp) -> String {
    format!("\"{moment}\"")
}

/// Returns all members of bodies that are a duration, a time or a number.
async fn members(larder: &Larder) -> Vec<Member> {
    let store = larder.named_store("shop").await;
    let token = larder.post("/larder/v1/tokens").json(&json!({})).await.answers(201).text("id");
    larder.user("bob").await;
    let view = || Member::new("POST", format!("/larder/v1/stores/{}/view-link", store.id), "{\"lifetimeSecs\":");
    let retention = |method, path| Member::new(method, path, "{\"retentionDays\":");
    let days: [&dyn ToString; 3] = [&366, &0.5, &"null"];
    let too_many: [&dyn ToString; 5] = [&0, &-0.5, &366.01, &367, &"1e-9"];
    let (now, end) = (larder.now(), larder.now().plus(DAY * TOKEN_DAYS));
    let mut all = vec![
        view().takes(&[&1, &31_622_400, &"null"]).refuses(&[&0, &31_622_401, &1.5, &"1e3"]),
        Member::new("POST", format!("/larder/v1/tokens/{token}/replace"), "{\"overlapSecs\":")
            .takes(&[&0, &2_592_000])
            .refuses(&[&2_592_001, &1.5, &"1e3"]),
        retention("POST", STORES.to_owned()).takes(&days).refuses(&too_many),
        retention("PUT", store.path("")).takes(&days).refuses(&too_many),
        Member::new("POST", "/larder/v1/tokens", "{\"expiresAt\":")
            .takes(&[&"null", &date(now.plus(Duration::from_secs(1))), &date(end)])
            .refuses(&[
                &0,
                &1.5,
                &date(now),
                &date(end.plus(DAY)),
                &date(Timestamp::from_millis(i64::MAX)),
                &date(Timestamp::from_millis(i64::MIN)),
                &"\"9999-12-31T23:59:59.999Z\"",
                &"\"9999-12-30T22:00:00.999999999Z\"",
                &"\"-009999-01-02T01:59:59Z\"",
                &"\"+999999-01-01T00:00:00Z\"",
                &"\"18446744073709551615-01-01T00:00:00Z\"",
            ]),
    ];
    for quota in ["stores", "records", "bytes", "storeRecords", "storeBytes"] {
        let member = Member::new("PUT", "/larder/v1/users/bob", format!("{{\"quota\":{{\"{quota}\":"));
        all.push(member.takes(&[&0, &MAX_QUOTA, &"null"]).refuses(&[&(MAX_QUOTA + 1), &1.5]));
    }
    all
}

contract_test!(durations_times_and_numbers_in_bodies_have_a_maximum, async |larder: Larder| {
    for member in members(&larder).await {
        let send = async |value: &str| {
            larder
                .request(member.method, member.path.clone())
                .content_type("application/json")
                .body(member.body(value))
                .await
        };
        for value in &member.taken {
            let reply = send(value).await;
            assert!(reply.status < 300, "{value}: {reply}");
        }
        for value in member.refused.iter().map(String::as_str).chain(NEVER) {
            let reply = send(value).await;
            let kind = reply.json()["error"]["type"].clone();
            // A number that JSON cannot hold is none.
            assert!(
                reply.status == 400
                    && ["invalid-value", "invalid-request"].contains(&kind.as_str().unwrap_or_default()),
                "{value}: {reply}"
            );
        }
    }
});

contract_test!(durations_times_and_numbers_in_queries_have_a_maximum, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    let baker = "/v2/acts/baker/runs";
    let run = larder.post(baker).await.answers(201).text("id");
    larder.post(format!("/larder/v1/runs/{run}/finish")).json(&json!({ "exitCode": 0 })).await.answers(200);
    let (ended, huge) =
        (format!("/v2/actor-runs/{run}"), ["9223372036854775808", "18446744073709551615", "99999999999999999999"]);
    // Refused above the maximum.
    for (name, most, over) in [("timeout", "31622400", "31622401"), ("memory", "32768", "32769")] {
        for value in ["0", most] {
            let run = larder.post(format!("{baker}?{name}={value}")).await.answers(201).text("id");
            larder.post(format!("/larder/v1/runs/{run}/environment")).json(&json!({})).await.answers(201);
        }
        for value in [over].into_iter().chain(huge) {
            larder.post(format!("{baker}?{name}={value}")).await.fails(400, "invalid-parameter");
        }
    }
    // Lowered to the maximum: official clients wait for 999,999 seconds, and ask for pages of any size.
    let lists = [STORES, "/v2/actor-runs", "/larder/v1/users", "/larder/v1/tokens"];
    let offsets = lists.map(|path| (path.to_owned(), "offset"));
    let limits = lists.into_iter().map(str::to_owned).chain([store.path("/keys"), "/larder/v1/usage".to_owned()]);
    let lowered = limits.map(|path| (path, "limit")).chain(offsets).chain([(ended.clone(), "waitForFinish")]);
    for (path, name) in lowered {
        for value in ["0", "1", "60", "999999"].into_iter().chain(huge) {
            let data = larder.get(format!("{path}?{name}={value}")).await.answers(200).data();
            let applied = data.get(name).and_then(Value::as_u64).unwrap_or_default();
            assert!(applied <= MAX_QUOTA && (name != "limit" || applied <= 1000), "{path}: {data}");
        }
        for value in ["-1", "1.5", "x", "%2B1", "1e3", "-9223372036854775809"] {
            larder.get(format!("{path}?{name}={value}")).await.fails(400, "invalid-parameter");
        }
    }
    for name in ["startedAfter", "startedBefore"] {
        for value in ["-009999-01-02T01:59:59Z", "9999-12-30T22:00:00.999999999Z", "1970-01-01T00:00:00Z"] {
            larder.get(format!("/v2/actor-runs?{name}={value}")).await.answers(200);
        }
        for value in ["0", "9999-12-31T23:59:59Z", "1e3", "18446744073709551615", "x"] {
            larder.get(format!("/v2/actor-runs?{name}={value}")).await.fails(400, "invalid-parameter");
        }
    }
});

/// 100 MB, as a client counts them.
const HUGE: usize = 100_000_000;

/// Bytes that are sent and compared at a time.
const BLOCK: usize = 1 << 20;

/// Maximum number of bytes of a record in the tests of the limit.
const LIMIT: u64 = 1000;

contract_test!(case_120_a_record_of_100_mb_comes_back_byte_for_byte, async |larder: Larder| {
    let store = larder.new_store().await;
    upload(&larder, &store).await;
    download(&larder, &store).await;
    let page = store.get("/keys").await.data();
    assert_eq!(page["items"][0]["size"], HUGE, "{page}");
});

async fn upload(larder: &Larder, store: &Store) {
    let mut connection = larder.connect().await;
    let head = head("PUT", store, &format!("Content-Length: {HUGE}\r\n"));
    connection.write(head.as_bytes()).await.expect("the head is taken");
    for index in 0..HUGE.div_ceil(BLOCK) {
        connection.write(&block(index)).await.expect("the body is taken");
    }
    let reply = connection.read_reply("PUT of 100 MB", "PUT").await.expect("the upload is answered");
    reply.answers(201);
}

async fn download(larder: &Larder, store: &Store) {
    let mut connection = larder.connect().await;
    connection.write(head("GET", store, "").as_bytes()).await.expect("the head is taken");
    let answer = connection.read_head().await.expect("the download is answered");
    assert_eq!(answer.status, 200, "GET of 100 MB: {answer:?}");
    let length = ("content-length".to_owned(), HUGE.to_string());
    assert!(answer.fields.contains(&length), "GET of 100 MB: {answer:?}");
    for index in 0..HUGE.div_ceil(BLOCK) {
        let expected = block(index);
        let came = connection.read_exactly(expected.len()).await.expect("the body comes whole");
        assert!(came == expected, "GET of 100 MB: block {index} differs");
    }
    assert!(Connection::read_rest(&mut connection).await.is_empty(), "GET of 100 MB: there is more");
}

fn head(method: &str, store: &Store, fields: &str) -> String {
    let path = store.path("/records/huge");
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n{fields}\r\n")
}

/// Block `index` of the record: no two are alike, and none is a repetition of a short pattern.
fn block(index: usize) -> Bytes {
    let length = BLOCK.min(HUGE - index * BLOCK);
    let mut state = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

contract_test!(case_121_a_record_above_the_limit_is_413_and_the_old_value_stays, async |larder: Larder| {
    let store = larder.new_store().await;
    let limited = larder.restarted_with(|options| options.max_record_bytes = LIMIT).await;
    let store = store.behind(&limited);
    store.put_text("a", "old").await;
    let too_long = vec![b'x'; usize::try_from(LIMIT).expect("it is small") + 1];

    let reply = store.put("/records/a").body(too_long.clone()).await;
    let message = reply.fails(413, "record-too-large");
    assert!(message.contains(&LIMIT.to_string()), "{reply} does not tell the limit");
    store.record("a").await.holds(b"old");

    let halves = too_long.chunks(600).map(Bytes::copy_from_slice).collect();
    store.put("/records/a").chunked(halves).await.fails(413, "record-too-large");
    store.record("a").await.holds(b"old");

    store.put("/records/new").chunked(vec![too_long.clone().into()]).await.fails(413, "record-too-large");
    store.get("/records/new").await.fails(404, "record-not-found");

    store.put("/records/a").body(too_long[1..].to_vec()).await.answers(201);
    store.put("/records/b").chunked(vec![too_long[1..].to_vec().into()]).await.answers(201);
    store.record("a").await.holds(&too_long[1..]);
    store.record("b").await.holds(&too_long[1..]);
});

contract_test!(a_record_said_to_be_too_large_is_refused_before_it_is_sent, async |larder: Larder| {
    let store = larder.new_store().await;
    let limited = larder.restarted_with(|options| options.max_record_bytes = LIMIT).await;
    let mut connection = limited.connect().await;
    let head = head("PUT", &store, "Content-Length: 1000000000000\r\nExpect: 100-continue\r\n");
    connection.write(head.as_bytes()).await.expect("the head is taken");
    let reply = connection.read_reply("PUT of a terabyte", "PUT").await.expect("it is answered at once");
    reply.fails(413, "record-too-large");
});
