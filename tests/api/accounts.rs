//! Users and tokens: made, changed, replaced, revoked.

use std::time::Duration;

use larder::{auth::Token, clock::SeededRandom};
use serde_json::json;

use crate::{
    harness::{Larder, Run, STORES, USERNAME},
    leader::leader_and_another,
};

const USERS: &str = "/larder/v1/users";
const TOKENS: &str = "/larder/v1/tokens";

contract_test!(only_the_admin_creates_users, async |larder: Larder| {
    let bob = larder.user("Bob-2").await;
    for (name, kind, status) in [
        ("bob-2", "username-not-unique", 409),
        (USERNAME, "username-not-unique", 409),
        ("a", "invalid-value", 400),
        ("a/b", "invalid-value", 400),
        ("abcdefghijklmnopq", "invalid-value", 400),
    ] {
        larder.post(USERS).json(&json!({ "username": name })).await.fails(status, kind);
    }
    larder.post(USERS).json(&json!({})).await.fails(400, "invalid-value");
    let listed = larder.get(USERS).await.answers(200);
    assert_eq!(listed.texts_of_items("username"), [USERNAME, "Bob-2"]);
    let own = larder.get("/v2/users/me").token(&bob).await.answers(200);
    assert_eq!(own.text("username"), "Bob-2");
    let by_id = larder.get(format!("/v2/users/{}", own.text("id"))).token(&bob).await.answers(200);
    assert_eq!(by_id.text("username"), "Bob-2");
    for (method, path) in
        [("GET", USERS), ("POST", USERS), ("GET", "/larder/v1/users/admin"), ("PUT", "/larder/v1/users/bob-2")]
    {
        larder.request(method, path).token(&bob).body("{}").await.fails(403, "insufficient-permissions");
        larder.request(method, path).anonymous().body("{}").await.fails(401, "token-not-provided");
    }
    assert_eq!(larder.get("/larder/v1/users/absent").await.fails(404, "record-not-found"), "User was not found");
});

contract_test!(a_user_who_is_kept_out_is_let_in_again, async |larder: Larder| {
    let bob = larder.user("bob").await;
    larder.put("/larder/v1/users/bob").json(&json!({ "isDisabled": true })).await.answers(200);
    larder.get(STORES).token(&bob).await.fails(401, "user-or-token-not-found");
    larder.put("/larder/v1/users/bob").json(&json!({ "isDisabled": false })).await.answers(200);
    larder.get(STORES).token(&bob).await.answers(200);
    larder.put("/larder/v1/users/admin").json(&json!({ "isDisabled": true })).await.fails(400, "invalid-value");
    for body in [json!({ "isDisabled": "yes" }), json!({ "generalAccess": "ANYONE_WITH_NAME_CAN_READ" })] {
        larder.put("/larder/v1/users/bob").json(&body).await.fails(400, "invalid-value");
    }
});

contract_test!(a_token_is_shown_once_and_works_until_it_is_revoked, async |larder: Larder| {
    larder.user("bob").await;
    // Tokens of one millisecond have no order among themselves.
    larder.advance(Duration::from_millis(1));
    let made = larder.post(TOKENS).json(&json!({ "username": "bob", "name": "ci" })).await.answers(201);
    let (id, token) = (made.text("id"), made.text("token"));
    assert!(made.data()["expiresAt"].is_null() && made.data()["scope"].is_null());
    larder.get(STORES).token(&token).await.answers(200);
    let listed = larder.get(format!("{TOKENS}?username=bob")).await.answers(200);
    assert_eq!(listed.texts_of_items("name"), ["of a test", "ci"]);
    let of_ci = listed.data()["items"][1].clone();
    assert!(of_ci.get("token").is_none() && of_ci["id"] == id && of_ci["lastUsedAt"].is_string(), "{of_ci}");
    // Bob manages Bob's tokens, and no other user's.
    let own = larder.post(TOKENS).token(&token).json(&json!({ "name": "own" })).await.answers(201).text("id");
    larder.get(format!("{TOKENS}?username=admin")).token(&token).await.fails(403, "insufficient-permissions");
    larder
        .post(TOKENS)
        .token(&token)
        .json(&json!({ "username": "admin" }))
        .await
        .fails(403, "insufficient-permissions");
    larder.delete(format!("{TOKENS}/{own}")).await.fails(404, "record-not-found");
    larder.delete(format!("{TOKENS}/{own}")).token(&token).await.answers(204);
    larder.delete(format!("{TOKENS}/{id}?username=bob")).await.answers(204);
    larder.get(STORES).token(&token).await.fails(401, "user-or-token-not-found");
    assert_eq!(
        larder.delete(format!("{TOKENS}/{id}?username=bob")).await.fails(404, "record-not-found"),
        "Token was not found"
    );
    larder.delete(format!("{TOKENS}/x")).await.fails(404, "record-not-found");
    larder.restarted().await.get(STORES).token(&token).await.fails(401, "user-or-token-not-found");
});

contract_test!(a_token_ends_when_it_was_said, async |larder: Larder| {
    let end = larder.clock().now().plus(Duration::from_hours(1));
    let token = larder.post(TOKENS).json(&json!({ "expiresAt": end })).await.answers(201).text("token");
    larder.get(STORES).token(&token).await.answers(200);
    larder.advance(Duration::from_hours(1));
    larder.get(STORES).token(&token).await.fails(401, "user-or-token-not-found");
    for body in [
        json!({ "expiresAt": "tomorrow" }),
        json!({ "expiresAt": end }),
        json!({ "expiresAt": 5 }),
        json!({ "name": 5 }),
        json!({ "name": "x".repeat(201) }),
        json!({ "scope": "everything" }),
        json!({ "scope": { "stores": [{ "namePrefix": "", "right": "read" }] } }),
        json!({ "scope": { "all": true } }),
    ] {
        larder.post(TOKENS).json(&body).await.fails(400, "invalid-value");
    }
});

contract_test!(a_token_that_is_replaced_lives_on_for_a_while, async |larder: Larder| {
    let scope = json!({ "list": true, "create": false, "stores": [] });
    let old = larder.post(TOKENS).json(&json!({ "name": "ci", "scope": scope })).await.answers(201);
    let path = format!("{TOKENS}/{}/replace", old.text("id"));
    larder.post(&path).json(&json!({ "overlapSecs": -1 })).await.fails(400, "invalid-value");
    let new = larder.post(&path).json(&json!({ "overlapSecs": 3600 })).await.answers(201);
    assert_ne!((new.text("id"), new.text("token")), (old.text("id"), old.text("token")));
    assert_eq!((new.text("name"), new.data()["scope"].clone()), ("ci".to_owned(), scope));
    for token in [&old, &new] {
        larder.get(STORES).token(&token.text("token")).await.answers(200);
    }
    larder.advance(Duration::from_hours(1));
    larder.get(STORES).token(&old.text("token")).await.fails(401, "user-or-token-not-found");
    larder.get(STORES).token(&new.text("token")).await.answers(200);
});

contract_test!(a_limited_token_makes_no_tokens, async |larder: Larder| {
    let everything = json!({ "list": true, "create": true, "stores": [{ "namePrefix": "a", "right": "manage" }] });
    let limited = larder.token_of(USERNAME, &everything).await;
    for (method, path) in
        [("GET", TOKENS), ("POST", TOKENS), ("DELETE", "/larder/v1/tokens/x"), ("GET", USERS), ("POST", USERS)]
    {
        larder.request(method, path).token(&limited).body("{}").await.fails(403, "insufficient-permissions");
    }
});

contract_test!(what_one_gateway_revokes_another_believes_for_five_seconds_at_most, async |larder: Larder| {
    let (leader, other) = leader_and_another(&larder).await;
    // Through the other one, which passes on to the leader what changes accounts.
    let bob = other.user("bob").await;
    let made = other.post(TOKENS).json(&json!({ "username": "bob" })).await.answers(201);
    let (id, token) = (made.text("id"), made.text("token"));
    for gateway in [&leader, &other] {
        gateway.get(STORES).token(&token).await.answers(200);
        gateway.get(STORES).token(&bob).await.answers(200);
    }
    leader.delete(format!("{TOKENS}/{id}?username=bob")).await.answers(204);
    leader.get(STORES).token(&token).await.fails(401, "user-or-token-not-found");
    other.advance(Duration::from_secs(5));
    other.get(STORES).token(&token).await.fails(401, "user-or-token-not-found");
    let made = other.post(TOKENS).json(&json!({ "username": "bob" })).await.answers(201);
    other.get(STORES).token(&made.text("token")).await.answers(200);
    other.delete(format!("{TOKENS}/{}?username=bob", made.text("id"))).await.answers(204);
    other.get(STORES).token(&made.text("token")).await.fails(401, "user-or-token-not-found");
});

contract_test!(a_warm_request_with_a_token_of_a_users_makes_one_call, async |larder: Larder| {
    let (store, bob) = (larder.named_store("shop").await, larder.user("bob").await);
    store.share("bob", "write").await;
    store.put("/records/a").token(&bob).body("flour").await.answers(201);
    let calls = larder.calls(async || store.get("/records/a").token(&bob).await.answers(200)).await;
    assert_eq!(calls.total(), 1, "{calls:?}");
    let calls = larder.calls(async || store.put("/records/a").token(&bob).body("salt").await.answers(201)).await;
    assert_eq!(calls.total(), 1, "{calls:?}");
    let unknown = Token::generate(&SeededRandom::new(0));
    let calls = larder.calls(async || store.get("/records/a").token(unknown.reveal()).await.fails_with(401)).await;
    assert_eq!(calls.total(), 1, "{calls:?}");
    // One of the platform's form, and one with a mistyped checksum: no token has either.
    let mistyped = if unknown.reveal().ends_with('0') { "1" } else { "0" };
    let mistyped = format!("{}{mistyped}", &unknown.reveal()[..42]);
    for token in [&mistyped, "apify_api_0123456789abcdefghijklmnopqrstuvwxyz"] {
        let calls = larder.calls(async || store.get("/records/a").token(token).await.fails_with(401)).await;
        assert_eq!(calls.total(), 0, "{token}: {calls:?}");
    }
});

contract_test!(of_a_revoked_token_nothing_is_left_whatever_was_known_of_its_use, async |larder: Larder| {
    larder.user("bob").await;
    let (leader, other) = leader_and_another(&larder).await;
    let before = leader.objects_of_accounts("/auth/tokens/").await;
    let made = leader.post(TOKENS).json(&json!({ "username": "bob" })).await.answers(201);
    let (id, token) = (made.text("id"), made.text("token"));
    for gateway in [&leader, &other] {
        gateway.get(STORES).token(&token).await.answers(200);
    }
    leader.delete(format!("{TOKENS}/{id}?username=bob")).await.answers(204);
    // The other gateway may write the token usage it knows of within the staleness bound, and not later.
    other.advance(Duration::from_secs(5));
    for gateway in [&leader, &other] {
        gateway.flush_and_expire_tokens().await;
    }
    let left = leader.objects_of_accounts(&id).await;
    assert!(left.iter().all(|key| key.contains("/tokens-due/")), "{left:?}");
    leader.advance(Duration::from_hours(1));
    leader.flush_and_expire_tokens().await;
    assert_eq!(leader.objects_of_accounts(&id).await, Vec::<String>::new());
    assert_eq!(leader.objects_of_accounts("/auth/tokens/").await, before);
    leader.get(STORES).token(&token).await.fails(401, "user-or-token-not-found");
});

contract_test!(of_an_expired_token_nothing_is_left_a_day_later, async |larder: Larder| {
    let end = larder.clock().now().plus(Duration::from_hours(1));
    let before = larder.objects_of_accounts("/auth/tokens/").await.len();
    let made = larder.post(TOKENS).json(&json!({ "expiresAt": end })).await.answers(201);
    let replaced = larder.post(TOKENS).json(&json!({})).await.answers(201);
    let path = format!("{TOKENS}/{}/replace", replaced.text("id"));
    larder.post(&path).json(&json!({ "overlapSecs": 60 })).await.answers(201);
    for token in [&made, &replaced] {
        larder.get(STORES).token(&token.text("token")).await.answers(200);
    }
    larder.advance(Duration::from_hours(2));
    larder.flush_and_expire_tokens().await;
    let listed = larder.get(TOKENS).await.answers(200).texts_of_items("id");
    assert!([&made, &replaced].iter().all(|token| listed.contains(&token.text("id"))), "what ended is seen for a day");
    larder.advance(Duration::from_hours(24));
    larder.flush_and_expire_tokens().await;
    let listed = larder.get(TOKENS).await.answers(200).texts_of_items("id");
    assert!([&made, &replaced].iter().all(|token| !listed.contains(&token.text("id"))), "{listed:?}");
    larder.advance(Duration::from_hours(2));
    larder.flush_and_expire_tokens().await;
    for token in [&made, &replaced] {
        assert_eq!(larder.objects_of_accounts(&token.text("id")).await, Vec::<String>::new());
    }
    // The token that took the place of another lives on.
    assert_eq!(larder.objects_of_accounts("/auth/tokens/").await.len(), before + 1);
});

contract_test!(a_clock_that_is_wrong_for_two_hours_deletes_no_token_that_has_not_expired, async |larder: Larder| {
    let end = larder.clock().now().plus(Duration::from_hours(48));
    let made = larder.post(TOKENS).json(&json!({ "expiresAt": end })).await.answers(201);
    larder.set_wrong_by_days(30);
    for _ in 0..4 {
        larder.flush_and_expire_tokens().await;
        larder.advance(Duration::from_mins(30));
    }
    larder.set_wrong_by_days(0);
    larder.flush_and_expire_tokens().await;
    larder.get(STORES).token(&made.text("token")).await.answers(200);
});

contract_test!(lists_of_users_and_tokens_are_paged_and_read_the_page_alone, async |larder: Larder| {
    for number in 0..12 {
        larder.post(USERS).json(&json!({ "username": format!("user-{number:02}") })).await.answers(201);
        // Tokens of one millisecond have no order among themselves.
        larder.advance(Duration::from_millis(1));
        larder.post(TOKENS).json(&json!({ "name": format!("token-{number:02}") })).await.answers(201);
    }
    for (path, member, first, last, total) in
        [(USERS, "username", "user-00", "user-11", 13), (TOKENS, "name", "token-00", "token-11", 12)]
    {
        let skipped = total - 12;
        let page = larder.get(format!("{path}?offset={skipped}&limit=2")).await.answers(200);
        assert_eq!(page.texts_of_items(member)[0], first);
        let told = page.data();
        assert_eq!(
            (&told["total"], &told["offset"], &told["limit"], &told["count"]),
            (&json!(total), &json!(skipped), &json!(2), &json!(2))
        );
        let page = larder.get(format!("{path}?limit=1&desc=1")).await.answers(200);
        assert_eq!(page.texts_of_items(member), [last]);
        assert_eq!(larder.get(path).await.answers(200).data()["count"], total);
        assert_eq!(larder.get(format!("{path}?offset={total}")).await.answers(200).data()["count"], 0);
        larder.get(format!("{path}?offset=-1")).await.fails(400, "invalid-parameter");
        let fresh = larder.restarted().await;
        let calls = fresh.calls(async || fresh.get(format!("{path}?limit=2")).await.answers(200)).await;
        assert!(calls.list == 1 && calls.total() <= 8, "{path}: {calls:?}");
    }
});

contract_test!(the_account_tells_its_limits_and_its_usage_in_the_platforms_words, async |larder: Larder| {
    let user = larder.get("/v2/users/me").await.answers(200).data();
    assert_eq!(user["proxy"], json!({ "password": "", "groups": [] }));
    assert!(
        larder.get(format!("/v2/users/{}", user["id"].as_str().expect("an id"))).await.answers(200).data()["proxy"]
            .is_null()
    );
    let limits = larder.get("/v2/users/me/limits").await.answers(200).data();
    assert_eq!(
        (&limits["limits"]["dataRetentionDays"], &limits["current"]["activeActorJobCount"]),
        (&json!(7), &json!(0))
    );
    for member in [
        "maxMonthlyUsageUsd",
        "maxMonthlyActorComputeUnits",
        "maxMonthlyExternalDataTransferGbytes",
        "maxMonthlyProxySerps",
        "maxMonthlyResidentialProxyGbytes",
        "maxActorMemoryGbytes",
        "maxActorCount",
        "maxActorTaskCount",
        "maxConcurrentActorJobs",
        "maxTeamAccountSeatCount",
    ] {
        assert!(limits["limits"][member].is_number(), "{member} of {limits}");
    }
    let run = Run::start(&larder, "/v2/acts/baker/runs").await;
    let active =
        async || larder.get("/v2/users/me/limits").await.answers(200).data()["current"]["activeActorJobCount"].clone();
    assert_eq!(active().await, 1);
    larder.post(run.path("/abort")).await.answers(200);
    assert_eq!(active().await, 0);
    larder
        .put("/v2/users/me/limits")
        .json(&json!({ "dataRetentionDays": 1 }))
        .await
        .fails(403, "platform-feature-disabled");

    let cycle = |start: &str, end: &str| json!({ "startAt": start, "endAt": end });
    for (date, expected) in [
        ("2024-02-29", cycle("2024-02-01T00:00:00.000Z", "2024-02-29T23:59:59.999Z")),
        ("2026-12-01", cycle("2026-12-01T00:00:00.000Z", "2026-12-31T23:59:59.999Z")),
    ] {
        let usage = larder.get(format!("/v2/users/me/usage/monthly?date={date}")).await.answers(200).data();
        assert_eq!((&usage["usageCycle"], &usage["totalUsageCreditsUsdAfterVolumeDiscount"]), (&expected, &json!(0)));
    }
    assert_eq!(
        larder.get("/v2/users/me/usage/monthly").await.answers(200).data()["usageCycle"],
        limits["monthlyUsageCycle"]
    );
    for date in ["2026-02-30", "yesterday", "9999-12-31"] {
        larder.get(format!("/v2/users/me/usage/monthly?date={date}")).await.fails(400, "invalid-parameter");
    }
    for path in ["/v2/users/me/limits", "/v2/users/me/usage/monthly"] {
        larder.get(path).anonymous().await.fails(401, "token-not-provided");
    }
});
