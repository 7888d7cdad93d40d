//! The description of the API, at `/v2/openapi.json`. Every reply of every test is compared with it
//! (`harness/openapi.rs`).

use crate::harness::{
    Larder, TOKEN,
    openapi::{self, Described},
};

const PATH: &str = "/v2/openapi.json";

const TABLE: &str = include_str!("access_table.txt");

contract_test!(the_description_is_served_to_anybody, async |larder: Larder| {
    let reply = larder.get(PATH).anonymous().await.answers(200);
    assert_eq!(reply.expect_field("content-type"), "application/json; charset=utf-8");
    assert_eq!(reply.expect_field("access-control-allow-origin"), "*");
    let description = reply.json();
    assert_eq!(description["openapi"], "3.1.0");
    assert_eq!(description["servers"][0]["url"], "/");
    assert!(description["paths"]["/v2/key-value-stores/{storeId}/records/{recordKey}"]["put"].is_object());
    larder.get(PATH).token("wrong").await.fails(401, "user-or-token-not-found");
    larder.post(PATH).await.fails(405, "method-not-allowed");
});

contract_test!(a_cached_description_is_revalidated_with_304, async |larder: Larder| {
    let reply = larder.get(PATH).token(TOKEN).await.answers(200);
    let tag = reply.expect_field("etag").to_owned();
    assert_eq!(reply.expect_field("cache-control"), "no-cache");
    for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let again = larder.get(PATH).field("If-None-Match", known).await.answers(304);
        assert_eq!(again.expect_field("etag"), tag);
    }
    larder.get(PATH).field("If-None-Match", "\"other\"").await.answers(200);
    larder.head(PATH).field("If-None-Match", "\"other\"").await.answers(200);
});

contract_test!(asking_for_the_description_costs_nothing, async |larder: Larder| {
    larder.get(PATH).await.answers(200);
    let calls = larder.calls(async || larder.get(PATH).anonymous().await.answers(200)).await;
    assert_eq!(calls.total(), 0);
});

/// Returns the paths of the table of routes, with something for each of its names.
fn routes() -> impl Iterator<Item = (&'static str, String)> {
    let lines = TABLE.lines().skip_while(|line| *line != "routes").take_while(|line| !line.is_empty());
    lines.filter(|line| !line.starts_with('#') && *line != "routes").map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let store = "/v2/key-value-stores/S";
        let path = words[2].replace("{store}", store).replace("{victim}", store);
        (words[1], path.replace("{address}", "S").replace("{run}", "R"))
    })
}

#[test]
fn every_route_is_described() {
    let missing: Vec<String> = routes()
        .filter(|(method, path)| openapi::described(method, path) == Described::Not)
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    assert!(missing.is_empty(), "src/api/description does not know these routes:\n{}", missing.join("\n"));
    assert!(routes().count() > 50, "the table was not found");
}

#[test]
fn what_is_not_described_is_found_out() {
    let of = |method: &str, target: &str| openapi::described(method, target);
    let keys = "/v2/key-value-stores/{storeId}/keys".to_owned();
    assert_eq!(of("GET", "/v2/key-value-stores/S/keys?limit=1"), Described::As(keys.clone(), "get".to_owned()));
    assert_eq!(of("HEAD", "/v2/key-value-stores/S/keys"), Described::As(keys, "get".to_owned()));
    assert_eq!(of("POST", "/v2/key-value-stores/S/keys"), Described::Not);
    assert_eq!(of("GET", "/v2/key-value-stores/S/keys?method=POST"), Described::Not);
    assert_eq!(of("GET", "/v2/key-value-stores//keys"), Described::Not);
    assert_eq!(of("GET", "/v2/nothing"), Described::Not);
    assert_eq!(of("PATCH", "/v2/datasets/D/items/1"), Described::Proxied);
    let me = Described::As("/v2/users/me".to_owned(), "get".to_owned());
    assert_eq!(of("GET", "/v2/users/me"), me);
}
