//! Access control: the rights of callers to the stores of others.

use serde_json::{Value, json};

use crate::harness::{Larder, STORES, Store, USERNAME};

const INSUFFICIENT: &str = "Insufficient permissions for the key-value store. Make sure you're passing a correct API token \
                            and that it has the required permissions.";

/// Returns the addresses of a named store of the first account's: by its id, and by owner and name.
fn addresses(store: &Store, name: &str) -> [String; 2] {
    [store.path(""), format!("{STORES}/{USERNAME}~{name}")]
}

contract_test!(case_025_a_name_belongs_to_its_owner, async |larder: Larder| {
    let (store, bob) = (larder.named_store("shop").await, larder.user("bob").await);
    let other = larder.post(format!("{STORES}?name=shop")).token(&bob).await.answers(201);
    assert_ne!(other.text("id"), store.id);
    assert_eq!(larder.get(format!("{STORES}/bob~shop")).token(&bob).await.answers(200).text("id"), other.text("id"));
    assert_eq!(larder.get(STORES).token(&bob).await.texts_of_items("id"), [other.text("id")]);
    assert_eq!(larder.get(STORES).await.texts_of_items("id"), [store.id]);
});

contract_test!(case_042_a_token_that_may_not_make_stores_makes_none, async |larder: Larder| {
    let limited = larder.token_of(USERNAME, &json!({ "list": true })).await;
    for target in [STORES.to_owned(), format!("{STORES}?name=shop")] {
        larder.post(target).token(&limited).await.fails(403, "insufficient-permissions");
    }
    assert_eq!(larder.get(format!("{STORES}?unnamed=1")).token(&limited).await.data()["total"], 0);
    // A token that may read a store gets it from get-or-create, without a difference between found and made.
    let store = larder.named_store("shop").await;
    let reader = larder.token_of(USERNAME, &json!({ "stores": [{ "name": "SHOP", "right": "read" }] })).await;
    assert_eq!(larder.post(format!("{STORES}?name=shop")).token(&reader).await.answers(200).text("id"), store.id);
    larder.post(format!("{STORES}?name=shop")).token(&limited).await.fails(403, "insufficient-permissions");
});

contract_test!(what_is_found_by_name_is_opened_as_by_name_whatever_the_token_may_else, async |larder: Larder| {
    let store = larder.named_store("payroll").await;
    let rule = |right: &str| json!([{ "name": "payroll", "right": right }]);
    for (scope, may) in [
        (json!({}), false),
        (json!({ "list": true }), false),
        (json!({ "create": true }), false),
        (json!({ "list": true, "create": true }), false),
        (json!({ "stores": rule("read") }), true),
        (json!({ "create": true, "stores": rule("read") }), true),
        (json!({ "list": true, "create": true, "stores": rule("write") }), true),
    ] {
        let token = larder.token_of(USERNAME, &scope).await;
        for (general_access, is_open) in [
            ("RESTRICTED", false),
            ("FOLLOW_USER_SETTING", false),
            ("ANYONE_WITH_ID_CAN_READ", false),
            ("ANYONE_WITH_NAME_CAN_READ", true),
        ] {
            store.open_to(general_access).await;
            let found = larder.get(format!("{STORES}/~payroll")).token(&token).await;
            let asked = larder.post(format!("{STORES}?name=payroll")).token(&token).await;
            let in_body = larder.post(STORES).token(&token).json(&json!({ "name": "payroll" })).await;
            let wanted = if may || is_open { 200 } else { 403 };
            let statuses = [found.status, asked.status, in_body.status];
            assert_eq!(statuses, [wanted; 3], "{scope} {general_access}: {asked}");
            assert!(wanted == 200 || !asked.to_string().contains(&store.id), "{scope} {general_access}: {asked}");
        }
    }
});

contract_test!(case_056_a_stranger_gets_403, async |larder: Larder| {
    let (store, bob) = (larder.named_store("shop").await, larder.user("bob").await);
    store.put_text("a", "flour").await;
    for rest in ["", "/keys", "/records", "/records/a", "/records/absent"] {
        assert_eq!(store.get(rest).token(&bob).await.fails(403, "insufficient-permissions"), INSUFFICIENT, "{rest}");
    }
    // By name, an unauthorized caller does not even learn that the store exists.
    larder.get(format!("{STORES}/{USERNAME}~shop")).token(&bob).await.fails(404, "record-not-found");
    larder.get(format!("{STORES}/{USERNAME}~shop")).anonymous().await.fails(404, "record-not-found");
});

contract_test!(case_058_to_060_anybody_reads_what_is_open_as_far_as_it_is, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_text("a", "flour").await;
    let [by_id, by_name] = addresses(&store, "shop");
    for (general_access, open) in [
        ("RESTRICTED", [false, false]),
        ("ANYONE_WITH_ID_CAN_READ", [true, false]),
        ("ANYONE_WITH_NAME_CAN_READ", [true, true]),
    ] {
        store.open_to(general_access).await;
        for (path, is_open) in [&by_id, &by_name].into_iter().zip(open) {
            for rest in ["", "/keys", "/records", "/records/a"] {
                let reply = larder.get(format!("{path}{rest}")).anonymous().await;
                assert_eq!(reply.status == 200, is_open, "{general_access} {path}{rest}: {reply}");
                assert!(is_open || matches!(reply.status, 403 | 404), "{general_access} {path}{rest}: {reply}");
            }
            if is_open {
                let object = larder.get(path).anonymous().await.data();
                assert!(object.get("urlSigningSecretKey").is_none(), "{object}");
                assert!(!object["keysPublicUrl"].as_str().expect("a link").contains("signature"), "{object}");
            }
        }
    }
});

contract_test!(case_061_and_062_a_right_that_was_given_shows_and_signs, async |larder: Larder| {
    let (store, bob) = (larder.named_store("shop").await, larder.user("bob").await);
    store.put_text("a", "flour").await;
    store.share("bob", "read").await;
    let [by_id, by_name] = addresses(&store, "shop");
    for path in [&by_id, &by_name] {
        assert!(larder.get(path).token(&bob).await.answers(200).data().get("urlSigningSecretKey").is_none());
        larder.get(format!("{path}/records/a")).token(&bob).await.answers(200).holds(b"flour");
        larder.put(format!("{path}/records/a")).token(&bob).body("x").await.fails(403, "insufficient-permissions");
    }
    store.share("BOB", "write").await;
    for path in [&by_id, &by_name] {
        let key = larder.get(path).token(&bob).await.answers(200).text("urlSigningSecretKey");
        assert_eq!(key, store.object().await["urlSigningSecretKey"]);
    }
    store.put("/records/b").token(&bob).body("salt").await.answers(201);
    let access = json!({ "generalAccess": "ANYONE_WITH_ID_CAN_READ" });
    store.put("").token(&bob).json(&access).await.fails(403, "insufficient-permissions");
    store.share("bob", "manage").await;
    store.put("").token(&bob).json(&access).await.answers(200);
    let unshared = larder.delete(format!("/larder/v1/stores/{}/access/bob", store.id)).await.answers(200);
    assert_eq!(unshared.data()["users"], json!([]));
    store.put("/records/b").token(&bob).body("x").await.fails(403, "insufficient-permissions");
});

contract_test!(case_065_a_store_follows_its_account_unless_it_says_otherwise, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    let user = format!("/larder/v1/users/{USERNAME}");
    let anonymously = async || store.get("").anonymous().await.status;
    assert_eq!(anonymously().await, 403, "accounts are restricted from the start");
    larder.put(&user).json(&json!({ "generalAccess": "ANYONE_WITH_ID_CAN_READ" })).await.answers(200);
    assert_eq!(anonymously().await, 200);
    let by_name = larder.get(format!("{STORES}/{USERNAME}~shop")).anonymous().await;
    assert_eq!(by_name.status, 404, "an account opens by id alone: {by_name}");
    store.open_to("RESTRICTED").await;
    assert_eq!(anonymously().await, 403);
    store.open_to("FOLLOW_USER_SETTING").await;
    larder.put(&user).json(&json!({ "generalAccess": "RESTRICTED" })).await.answers(200);
    assert_eq!(anonymously().await, 403);
});

contract_test!(case_070_and_117_a_store_open_to_readers_is_not_open_to_writers, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_text("a", "flour").await;
    store.open_to("ANYONE_WITH_NAME_CAN_READ").await;
    store.get("").anonymous().await.answers(200);
    for (method, rest) in
        [("PUT", ""), ("DELETE", ""), ("PUT", "/records/a"), ("POST", "/records/a"), ("DELETE", "/records/a")]
    {
        larder.request(method, store.path(rest)).anonymous().body("{}").await.fails(401, "token-not-provided");
    }
    store.record("a").await.answers(200).holds(b"flour");
});

contract_test!(case_077_083_118_and_156_a_reader_changes_nothing, async |larder: Larder| {
    let (store, bob) = (larder.named_store("shop").await, larder.user("bob").await);
    store.put_text("a", "flour").await;
    store.share("bob", "read").await;
    for (method, rest) in
        [("PUT", ""), ("DELETE", ""), ("PUT", "/records/a"), ("POST", "/records/a"), ("DELETE", "/records/a")]
    {
        let reply = larder.request(method, store.path(rest)).token(&bob).body("{}").await;
        assert_eq!(reply.fails(403, "insufficient-permissions"), INSUFFICIENT, "{method} {rest}");
    }
    store.record("a").await.answers(200).holds(b"flour");
});

contract_test!(case_094_what_is_shared_is_listed_with_ones_own_or_apart, async |larder: Larder| {
    let (store, bob) = (larder.named_store("shop").await, larder.user("bob").await);
    let unnamed = larder.new_store().await;
    let own = larder.post(format!("{STORES}?name=own")).token(&bob).await.text("id");
    for shared in [&store, &unnamed] {
        shared.share("bob", "read").await;
    }
    let listed =
        async |query: &str| larder.get(format!("{STORES}?{query}")).token(&bob).await.answers(200).texts_of_items("id");
    assert_eq!(listed("ownership=ownedByMe").await, std::slice::from_ref(&own));
    assert_eq!(listed("").await, [store.id.clone(), own.clone()]);
    let all = [store.id.clone(), unnamed.id.clone(), own.clone()];
    assert_eq!(listed("unnamed=1").await, all);
    assert_eq!(listed("unnamed=1&desc=1").await, [own.clone(), unnamed.id.clone(), store.id.clone()]);
    for offset in 0..4 {
        for limit in 1..4 {
            for (desc, mut expected) in [(0, all.to_vec()), (1, all.iter().rev().cloned().collect())] {
                expected = expected.into_iter().skip(offset).take(limit).collect();
                let query = format!("unnamed=1&desc={desc}&offset={offset}&limit={limit}");
                assert_eq!(listed(&query).await, expected, "{query}");
            }
        }
    }
    let page = larder.get(format!("{STORES}?unnamed=1&limit=1&search=sho")).token(&bob).await.answers(200).data();
    assert_eq!((&page["total"], &page["items"][0]["id"]), (&json!(1), &json!(store.id)));
    assert_eq!(listed("ownership=sharedWithMe").await, std::slice::from_ref(&store.id));
    let both = [store.id.clone(), unnamed.id.clone()];
    assert_eq!(listed("ownership=sharedWithMe&unnamed=1").await, both);
    assert_eq!(listed("ownership=sharedWithMe&unnamed=1&desc=1&limit=1").await, both[1..]);
    assert_eq!(listed("ownership=sharedWithMe&unnamed=1&search=SHO").await, both[..1]);
    larder.delete(format!("/larder/v1/stores/{}/access/bob", unnamed.id)).await.answers(200);
    store.delete("").await.answers(204);
    assert_eq!(listed("ownership=sharedWithMe&unnamed=1").await, Vec::<String>::new());
    larder.get(format!("{STORES}?ownership=x")).token(&bob).await.fails(400, "param-not-one-of");
});

contract_test!(a_token_goes_as_far_as_its_scope_and_no_further_than_its_user, async |larder: Larder| {
    let (shop, cellar) = (larder.named_store("shop").await, larder.named_store("cellar").await);
    for store in [&shop, &cellar] {
        store.put_text("a", "flour").await;
    }
    let rule = |rule: Value| json!({ "stores": [rule] });
    for (scope, may_shop, may_cellar) in [
        (rule(json!({ "id": shop.id, "right": "write" })), true, false),
        (rule(json!({ "name": "Shop", "right": "write" })), true, false),
        (rule(json!({ "namePrefix": "CELL", "right": "write" })), false, true),
        (rule(json!({ "namePrefix": "shop-", "right": "write" })), false, false),
        (json!({ "list": true, "create": true }), false, false),
        (Value::Null, true, true),
    ] {
        let token = larder.token_of(USERNAME, &scope).await;
        for (store, may) in [(&shop, may_shop), (&cellar, may_cellar)] {
            let (read, write) = if may { (200, 201) } else { (403, 403) };
            store.get("/records/a").token(&token).await.answers(read);
            store.put("/records/a").token(&token).body("salt").await.answers(write);
        }
    }
    let reader = larder.token_of(USERNAME, &rule(json!({ "id": shop.id, "right": "read" }))).await;
    shop.get("/keys").token(&reader).await.answers(200);
    shop.put("/records/a").token(&reader).body("x").await.fails(403, "insufficient-permissions");
    larder.get(STORES).token(&reader).await.fails(403, "insufficient-permissions");
    // A token has no more rights than its user.
    larder.user("bob").await;
    let bobs = larder.token_of("bob", &rule(json!({ "id": shop.id, "right": "manage" }))).await;
    shop.get("/keys").token(&bobs).await.fails(403, "insufficient-permissions");
    shop.share("bob", "read").await;
    shop.get("/keys").token(&bobs).await.answers(200);
    shop.put("/records/a").token(&bobs).body("x").await.fails(403, "insufficient-permissions");
});

contract_test!(
    a_limited_token_may_do_everything_with_its_own_stores_and_no_less_than_an_anonymous_caller,
    async |larder: Larder| {
        let maker = larder.token_of(USERNAME, &json!({ "create": true })).await;
        let another = larder.token_of(USERNAME, &json!({ "create": true })).await;
        let made = larder.post(format!("{STORES}?name=own")).token(&maker).await.answers(201);
        let store = Store::new(&larder, made.text("id"));
        assert!(made.data().get("urlSigningSecretKey").is_some());
        store.put("/records/a").token(&maker).body("flour").await.answers(201);
        larder.get(format!("/larder/v1/stores/{}/access", store.id)).token(&maker).await.answers(200);
        store.get("/records/a").token(&another).await.fails(403, "insufficient-permissions");
        store.open_to("ANYONE_WITH_ID_CAN_READ").await;
        store.get("/records/a").token(&another).await.answers(200).holds(b"flour");
        store.put("/records/a").token(&another).body("x").await.fails(403, "insufficient-permissions");
        store.delete("").token(&maker).await.answers(204);
    }
);
