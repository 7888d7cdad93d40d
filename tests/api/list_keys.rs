//! Lists of keys: order, pages, filters, and the members of each item.

use futures_util::future::join_all;
use larder::auth::signature;
use larder::clock::{Random, SeededRandom};
use serde_json::{Value, json};

use crate::harness::{Larder, PUBLIC_URL, STORES, Store, gzip};

/// Keys that fill three pages, the last one half.
const MANY_KEYS: usize = 2500;

/// Connections that write them.
const WRITERS: usize = 20;

contract_test!(case_158_an_empty_store_is_an_empty_page, async |larder: Larder| {
    let page = larder.new_store().await.get("/keys").await.answers(200).data();
    let empty = json!({
        "items": [], "count": 0, "limit": 1000, "isTruncated": false,
        "exclusiveStartKey": null, "nextExclusiveStartKey": null
    });
    for (member, value) in empty.as_object().expect("it is an object") {
        assert_eq!(page.get(member), Some(value), "{member} of {page}");
    }
});

contract_test!(case_159_a_key_is_listed_with_its_size_and_its_address, async |larder: Larder| {
    let store = store_with(&larder, &["item-2", "item-1", "a!'(b)"]).await;
    let page = store.get("/keys").await.answers(200);
    assert_eq!(page.texts_of_items("key"), ["a!'(b)", "item-1", "item-2"]);
    let data = page.data();
    assert_eq!(data["count"], 3, "{page}");
    let secret = store.object().await["urlSigningSecretKey"].as_str().expect("the owner may sign").to_owned();
    for item in data["items"].as_array().expect("it is an array") {
        assert_eq!(item["size"], 1, "{page}");
        let (key, url) = (item["key"].as_str().expect("a text"), item["recordPublicUrl"].as_str().expect("a text"));
        let (path, query) = url.split_once('?').expect("the address is signed");
        let record = path.strip_prefix(PUBLIC_URL).expect("the address is public");
        store.record(key).await.holds(b"x");
        larder.get(record).await.answers(200).holds(b"x");
        let signature =
            signature::sign_record(&secret, &store.id.parse().expect("an id"), &key.parse().expect("a valid key"))
                .expect("it is signed");
        assert_eq!(query, format!("signature={signature}"), "{url}");
    }
});

contract_test!(case_160_keys_are_in_the_order_of_their_bytes, async |larder: Larder| {
    let store = store_with(&larder, &["B", "a", "_x", "1", "!"]).await;
    assert_eq!(store.keys().await, ["!", "1", "B", "_x", "a"]);
    let others = ["'", "(", ")", "-", ".", "..", "aa", "a-", "a.b", "A", "Z", "z"];
    join_all(others.map(|key| store.put_text(key, "x"))).await.into_iter().for_each(drop);
    let keys = store.keys().await;
    let mut sorted = keys.clone();
    sorted.sort();
    assert_eq!((keys.len(), &keys), (17, &sorted));
});

contract_test!(case_161_a_page_that_is_not_the_last_says_where_the_next_begins, async |larder: Larder| {
    let store = store_with(&larder, &["a", "b", "c"]).await;
    let page = store.get("/keys?limit=2").await.answers(200);
    assert_eq!(page.texts_of_items("key"), ["a", "b"]);
    let data = page.data();
    assert_eq!((&data["isTruncated"], &data["nextExclusiveStartKey"]), (&json!(true), &json!("b")), "{page}");
    assert_eq!((&data["limit"], &data["count"]), (&json!(2), &json!(2)), "{page}");
});

contract_test!(case_162_the_next_page_begins_behind_the_last_key, async |larder: Larder| {
    let store = store_with(&larder, &["a", "b", "c"]).await;
    let page = store.get("/keys?limit=2&exclusiveStartKey=b").await.answers(200);
    assert_eq!(page.texts_of_items("key"), ["c"]);
    let data = page.data();
    assert_eq!((&data["isTruncated"], &data["exclusiveStartKey"]), (&json!(false), &json!("b")), "{page}");
    assert_eq!(data.get("nextExclusiveStartKey"), Some(&Value::Null), "{page}");
});

contract_test!(case_163_a_page_that_is_just_full_is_the_last, async |larder: Larder| {
    let store = store_with(&larder, &["a", "b", "c"]).await;
    let data = store.get("/keys?limit=3").await.answers(200).data();
    assert_eq!(data["count"], 3, "{data}");
    assert_eq!(data["isTruncated"], false, "{data}");
    assert_eq!(data.get("nextExclusiveStartKey"), Some(&Value::Null), "{data}");
});

contract_test!(case_164_a_page_may_begin_behind_a_key_that_is_not_there, async |larder: Larder| {
    let store = store_with(&larder, &["a", "c"]).await;
    for (start, keys) in [("b", &["c"][..]), ("aa", &["c"]), ("!", &["a", "c"]), ("c", &[]), ("z", &[])] {
        let page = store.get(&format!("/keys?exclusiveStartKey={start}")).await.answers(200);
        assert_eq!(page.texts_of_items("key"), keys, "{page}");
        assert_eq!(page.data()["exclusiveStartKey"], start, "{page}");
    }
});

contract_test!(case_165_a_prefix_holds_over_the_pages, async |larder: Larder| {
    let store = store_with(&larder, &["item-1", "item-2", "item-3", "item", "itemx", "other", "a"]).await;
    let page = store.get("/keys?prefix=item-").await.answers(200);
    assert_eq!(page.texts_of_items("key"), ["item-1", "item-2", "item-3"]);
    let page = store.get("/keys?prefix=item-&limit=2").await.answers(200);
    assert_eq!(page.texts_of_items("key"), ["item-1", "item-2"]);
    assert_eq!(page.data()["nextExclusiveStartKey"], "item-2", "{page}");
    let page = store.get("/keys?prefix=item-&limit=2&exclusiveStartKey=item-2").await.answers(200);
    assert_eq!(page.texts_of_items("key"), ["item-3"]);
    assert_eq!(page.data()["isTruncated"], false, "{page}");
    for (query, count) in [("prefix=item-&exclusiveStartKey=a", 3), ("prefix=item-&exclusiveStartKey=z", 0)] {
        assert_eq!(store.get(&format!("/keys?{query}")).await.answers(200).data()["count"], count, "?{query}");
    }
    for prefix in ["nothing", "%C3%A9", "a+b", "a%2Fb", "", "."] {
        let count = if prefix.is_empty() { 7 } else { 0 };
        let page = store.get(&format!("/keys?prefix={prefix}")).await.answers(200);
        assert_eq!(page.data()["count"], count, "{page}");
    }
});

contract_test!(case_166_a_limit_is_brought_within_bounds, async |larder: Larder| {
    let store = larder.new_store().await;
    for limit in ["0", "2000", "1000", "99999999999999999999"] {
        assert_eq!(store.get(&format!("/keys?limit={limit}")).await.answers(200).data()["limit"], 1000, "{limit}");
    }
    for limit in ["-1", "abc", "1.5"] {
        let message = store.get(&format!("/keys?limit={limit}")).await.fails(400, "invalid-parameter");
        assert!(message.contains("limit"), "{message:?} does not name the parameter");
    }
});

contract_test!(case_167_paging_yields_each_of_2500_keys_once, async |larder: Larder| {
    let store = larder.new_store().await;
    write_many(&larder, &store).await;
    let expected: Vec<String> = (0..MANY_KEYS).map(key_of).collect();
    let mut connection = larder.connect().await;
    let (mut keys, mut start, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = store.get(&format!("/keys?limit=1000{start}"));
        let page = request.send_on(&mut connection).await.answers(200);
        keys.extend(page.texts_of_items("key"));
        pages += 1;
        assert!(pages <= 3, "{page} is one page too many");
        let next = page.data()["nextExclusiveStartKey"].take();
        assert_eq!(page.data()["isTruncated"], !next.is_null(), "{page}");
        let Some(next) = next.as_str() else { break };
        start = format!("&exclusiveStartKey={next}");
    }
    assert_eq!(pages, 3);
    assert!(keys == expected, "{} keys, the first {:?}", keys.len(), keys.first());
});

contract_test!(case_168_a_size_is_that_of_the_stored_bytes, async |larder: Larder| {
    let store = larder.new_store().await;
    let coded = gzip(&b"flour ".repeat(100)).await;
    store.put_coded("coded", "gzip", coded.clone()).await;
    store.put_text("empty", "").await;
    store.put_text("plain", &"x".repeat(36)).await;
    let data = store.get("/keys").await.data();
    let sizes = ["coded", "empty", "plain"].map(|key| {
        let items = data["items"].as_array().expect("it is an array");
        items.iter().find(|item| item["key"] == key).expect("the key is listed")["size"].clone()
    });
    assert_eq!(sizes, [json!(coded.len()), json!(0), json!(36)]);
});

contract_test!(case_169_a_collection_holds_its_keys_alone, async |larder: Larder| {
    let store = larder.store_with(&json!({ "schema": schema() })).await;
    for key in ["shot-1", "shot-2", "shop", "REPORT", "REPORT-2", "a"] {
        store.put_text(key, "x").await;
    }
    for (query, keys) in [
        ("collection=shots", &["shot-1", "shot-2"][..]),
        ("collection=report", &["REPORT"]),
        ("collection=report&exclusiveStartKey=REPORT", &[]),
        ("collection=report&prefix=REP", &["REPORT"]),
        ("collection=report&prefix=x", &[]),
    ] {
        let page = store.get(&format!("/keys?{query}")).await.answers(200);
        assert_eq!(page.texts_of_items("key"), keys, "{page}");
    }
    let page = store.get("/keys?collection=shots&limit=1").await.answers(200);
    assert_eq!(page.data()["nextExclusiveStartKey"], "shot-1", "{page}");
});

contract_test!(case_170_an_unknown_collection_is_400, async |larder: Larder| {
    let with = larder.store_with(&json!({ "schema": schema() })).await;
    let without = larder.new_store().await;
    for store in [with, without] {
        for path in ["/keys?collection=x", "/records?collection=x"] {
            store.get(path).await.fails(400, "invalid-collection");
        }
    }
});

contract_test!(case_178_an_order_is_ignored, async |larder: Larder| {
    let store = store_with(&larder, &["a", "b"]).await;
    assert_eq!(store.get("/keys?desc=1&offset=1").await.answers(200).texts_of_items("key"), ["a", "b"]);
});

contract_test!(keys_of_an_unknown_store_are_404, async |larder: Larder| {
    for store in ["abcdefghijklmnopq", "~absent"] {
        larder.get(format!("{STORES}/{store}/keys")).await.fails(404, "record-not-found");
    }
});

contract_test!(keys_of_one_store_are_no_others, async |larder: Larder| {
    let (one, other) = (store_with(&larder, &["a"]).await, store_with(&larder, &["b"]).await);
    assert_eq!(one.keys().await, ["a"]);
    assert_eq!(other.keys().await, ["b"]);
    one.delete("").await.answers(204);
    assert_eq!(other.keys().await, ["b"]);
});

async fn store_with(larder: &Larder, keys: &[&str]) -> Store {
    let store = larder.new_store().await;
    for key in keys {
        store.put_text(key, "x").await;
    }
    store
}

async fn write_many(larder: &Larder, store: &Store) {
    let writers = (0..WRITERS).map(async |writer| {
        let mut connection = larder.connect().await;
        for index in (writer..MANY_KEYS).step_by(WRITERS) {
            let put = store.put(&format!("/records/{}", key_of(index))).body("x");
            put.send_on(&mut connection).await.answers(201);
        }
    });
    join_all(writers).await;
}

fn key_of(index: usize) -> String {
    format!("key-{index:05}")
}

fn schema() -> Value {
    json!({
        "actorKeyValueStoreSchemaVersion": 1,
        "title": "Outputs",
        "collections": {
            "shots": { "title": "Shots", "keyPrefix": "shot-" },
            "report": { "title": "Report", "key": "REPORT" }
        }
    })
}

/// Characters of keys: few, so that keys share beginnings, and those at the ends of the order.
const ALPHABET: [char; 6] = ['!', '.', '0', 'A', 'a', 'z'];

/// Keys in the store.
const KEYS: usize = 120;

/// Pages that are asked for.
const PAGES: usize = 300;

/// Chance repeats itself, so that a failure does.
const SEED: u64 = 7;

contract_test!(every_page_of_keys_is_what_a_sorted_list_gives, async |larder: Larder| {
    let chance = Chance(SeededRandom::new(SEED));
    let store = larder.new_store().await;
    let mut connection = larder.connect().await;
    let mut keys: Vec<String> = (0..KEYS).map(|_| chance.text(1, 5)).collect();
    for key in &keys {
        store.put(&format!("/records/{key}")).body("x").send_on(&mut connection).await.answers(201);
    }
    keys.sort();
    keys.dedup();
    for _ in 0..PAGES {
        let query = chance.query();
        let reply = store.get(&query.path()).send_on(&mut connection).await.answers(200);
        let (expected, is_truncated) = query.answer(&keys);
        assert_eq!(reply.texts_of_items("key"), expected, "{reply}");
        let data = reply.data();
        assert_eq!((&data["isTruncated"], &data["count"]), (&is_truncated.into(), &expected.len().into()), "{reply}");
        let next = expected.last().filter(|_| is_truncated).map_or(Value::Null, |key| Value::from(key.as_str()));
        assert_eq!(data["nextExclusiveStartKey"], next, "{reply}");
    }
    walk(&store, &chance, &keys).await;
});

/// Pages of every small size, put one behind the other, are the list.
async fn walk(store: &Store, chance: &Chance, keys: &[String]) {
    for limit in 1..=7 {
        let prefix = if limit % 2 == 0 { chance.text(1, 2) } else { String::new() };
        let (mut walked, mut start) = (Vec::new(), String::new());
        loop {
            let path = format!("/keys?limit={limit}&prefix={prefix}&exclusiveStartKey={start}");
            let page = store.get(&path).await.answers(200);
            walked.extend(page.texts_of_items("key"));
            assert!(walked.len() <= keys.len(), "{page} tells of keys again");
            let Some(next) = page.data()["nextExclusiveStartKey"].as_str().map(str::to_owned) else { break };
            start = next;
        }
        let expected: Vec<&String> = keys.iter().filter(|key| key.starts_with(&prefix)).collect();
        assert!(walked.iter().eq(expected.iter().copied()), "prefix {prefix:?}, limit {limit}: {walked:?}");
    }
}

struct Query {
    prefix: String,
    start: String,
    limit: usize,
}

impl Query {
    fn path(&self) -> String {
        let Self { prefix, start, limit } = self;
        format!("/keys?prefix={prefix}&exclusiveStartKey={start}&limit={limit}")
    }

    fn answer(&self, keys: &[String]) -> (Vec<String>, bool) {
        let fits = |key: &&String| key.starts_with(&self.prefix) && (self.start.is_empty() || **key > self.start);
        let mut found: Vec<String> = keys.iter().filter(fits).take(self.limit + 1).cloned().collect();
        let is_truncated = found.len() > self.limit;
        found.truncate(self.limit);
        (found, is_truncated)
    }
}

struct Chance(SeededRandom);

impl Chance {
    fn below(&self, bound: usize) -> usize {
        let mut byte = [0];
        self.0.fill(&mut byte);
        usize::from(byte[0]) % bound
    }

    fn text(&self, shortest: usize, longest: usize) -> String {
        let length = shortest + self.below(longest - shortest + 1);
        (0..length).map(|_| ALPHABET[self.below(ALPHABET.len())]).collect()
    }

    fn query(&self) -> Query {
        Query { prefix: self.text(0, 2), start: self.text(0, 4), limit: 1 + self.below(12) }
    }
}
