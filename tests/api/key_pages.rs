//! Pages of keys against a reference as simple as can be: any prefix, any start, any limit.

use larder::clock::{Random, SeededRandom};
use serde_json::Value;

use crate::harness::{Larder, Store};

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
