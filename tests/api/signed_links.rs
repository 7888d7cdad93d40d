//! Signed links: each grants access to its own resource, without a token.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use larder::{
    auth::signature,
    clock::Timestamp,
    storage::{Attributes, ByteStream, Precondition, PutOptions},
};
use serde_json::json;

use crate::harness::{Larder, STORES, Store, USERNAME};

const DAY: Duration = Duration::from_hours(24);

/// Returns a store with two records, and the secret that signs its links.
async fn signed_store(larder: &Larder) -> (Store, String) {
    let store = larder.named_store("shop").await;
    store.put_text("OUTPUT", "flour").await;
    store.put_text("INPUT", "salt").await;
    let secret = store.object().await["urlSigningSecretKey"].as_str().expect("a secret").to_owned();
    (store, secret)
}

fn of_record(secret: &str, key: &str) -> String {
    // Not of any store here: the id only says which keys are reserved.
    let id = "WkzbQMuFYuamGv3YF".parse().expect("an id");
    signature::sign_record(secret, &id, &key.parse().expect("a key")).expect("it is not reserved")
}

fn of_keys(secret: &str, id: &str, end: Option<Timestamp>) -> String {
    signature::sign_keys(secret, &id.parse().expect("an id"), end)
}

contract_test!(case_064_a_link_to_the_keys_works_for_14_days, async |larder: Larder| {
    let (store, _) = signed_store(&larder).await;
    let link = store.object().await["keysPublicUrl"].as_str().expect("a link").to_owned();
    larder.follow(&link).await.answers(200);
    larder.advance(DAY * 13);
    larder.follow(&link).await.answers(200);
    larder.advance(DAY * 2);
    larder.follow(&link).await.fails(403, "insufficient-permissions");
});

contract_test!(case_119_a_signature_only_reads, async |larder: Larder| {
    let (store, secret) = signed_store(&larder).await;
    let signed = format!("/records/OUTPUT?signature={}", of_record(&secret, "OUTPUT"));
    for method in ["PUT", "POST", "DELETE"] {
        larder.request(method, store.path(&signed)).anonymous().body("x").await.fails(401, "token-not-provided");
    }
    store.record("OUTPUT").await.answers(200).holds(b"flour");
});

contract_test!(case_138_to_143_a_signature_opens_one_record, async |larder: Larder| {
    let (store, secret) = signed_store(&larder).await;
    let bob = larder.user("bob").await;
    let (right, keys) = (of_record(&secret, "OUTPUT"), of_keys(&secret, &store.id, None));
    let by_name = format!("{STORES}/{USERNAME}~shop");
    for path in [store.path(""), by_name] {
        let record = format!("{path}/records/OUTPUT?signature={right}");
        larder.get(&record).anonymous().await.answers(200).holds(b"flour");
        larder.head(&record).anonymous().await.answers(200);
        larder.get(&record).token(&bob).await.answers(200).holds(b"flour");
        larder.get(&record).token("wrong").await.fails(401, "user-or-token-not-found");
    }
    for wrong in [
        format!("/records/INPUT?signature={right}"),
        format!("/records/OUTPUT?signature={keys}"),
        format!("/records/OUTPUT?signature={}", right.to_lowercase()),
        format!("/records/OUTPUT?signature={}", &right[1..]),
        "/records/OUTPUT?signature=".to_owned(),
        "/records/OUTPUT".to_owned(),
        format!("?signature={right}"),
        format!("?signature={keys}"),
    ] {
        store.get(&wrong).anonymous().await.fails(403, "insufficient-permissions");
        store.head(&wrong).anonymous().await.answers(403);
        store.get(&wrong).token(&bob).await.fails(403, "insufficient-permissions");
    }
    store.open_to("ANYONE_WITH_ID_CAN_READ").await;
    store.get("/records/OUTPUT?signature=wrong").anonymous().await.answers(200);
});

contract_test!(case_144_and_145_links_of_records_open_what_was_stored, async |larder: Larder| {
    assert_eq!(of_record("secret-key-for-testing", "OUTPUT"), "2ypikKx0WIAsy9q6RR3F");
    let (store, secret) = signed_store(&larder).await;
    let page = b"<html><script>alert(1)</script></html>";
    store.put_bytes("page", "text/html", page.as_slice()).await;
    let signed = format!("/records/page?attachment=true&signature={}", of_record(&secret, "page"));
    store.get(&signed).anonymous().await.answers(200).holds(page);
});

contract_test!(case_171_to_176_a_signature_of_the_keys_opens_one_list, async |larder: Larder| {
    let (store, secret) = signed_store(&larder).await;
    let (now, other) = (larder.clock().now(), larder.named_store("cellar").await);
    let for_ever = of_keys(&secret, &store.id, None);
    let for_an_hour = of_keys(&secret, &store.id, Some(now.plus(Duration::from_hours(1))));
    for rest in ["/keys", "/records"] {
        for right in [&for_ever, &format!("{for_ever}%3D%3D"), &for_an_hour] {
            store.get(&format!("{rest}?signature={right}")).anonymous().await.answers(200);
        }
        for wrong in [
            of_keys(&secret, &store.id, Some(now.minus(Duration::from_secs(1)))),
            of_keys(&secret, &other.id, None),
            of_keys("another secret", &store.id, None),
            of_record(&secret, "OUTPUT"),
            "garbage".to_owned(),
            "MS4wLng".to_owned(),
        ] {
            let reply = store.get(&format!("{rest}?signature={wrong}")).anonymous().await;
            reply.fails(403, "insufficient-permissions");
        }
    }
    larder.advance(Duration::from_hours(2));
    store.get(&format!("/keys?signature={for_an_hour}")).anonymous().await.fails(403, "insufficient-permissions");
});

contract_test!(case_177_and_179_links_in_lists_open_and_their_other_parameters_are_free, async |larder: Larder| {
    let (store, _) = signed_store(&larder).await;
    for item in store.get("/keys").await.data()["items"].as_array().expect("a list") {
        larder.follow(item["recordPublicUrl"].as_str().expect("a link")).await.answers(200);
    }
    let link = store.object().await["keysPublicUrl"].as_str().expect("a link").to_owned();
    let page = larder.follow(&format!("{link}&limit=1&prefix=O")).await.answers(200);
    assert_eq!(page.texts_of_items("key"), ["OUTPUT"]);
    // A reader by link is shown no other signed links.
    assert!(!page.texts_of_items("recordPublicUrl")[0].contains("signature"), "{page}");
});

contract_test!(all_links_die_when_the_secret_is_rotated, async |larder: Larder| {
    let (store, secret) = signed_store(&larder).await;
    let (keys, record) = (of_keys(&secret, &store.id, None), of_record(&secret, "OUTPUT"));
    let rotate = format!("/larder/v1/stores/{}/signing-key/rotate", store.id);
    larder.post(&rotate).anonymous().await.fails(401, "token-not-provided");
    let rotated = larder.post(&rotate).await.answers(200).text("urlSigningSecretKey");
    assert_ne!(rotated, secret);
    store.get(&format!("/keys?signature={keys}")).anonymous().await.fails(403, "insufficient-permissions");
    store.get(&format!("/records/OUTPUT?signature={record}")).anonymous().await.fails(403, "insufficient-permissions");
    let fresh = of_record(&rotated, "OUTPUT");
    store.get(&format!("/records/OUTPUT?signature={fresh}")).anonymous().await.answers(200);
    // The next secret is not to be had by giving the store another name, or by asking again.
    store.put("").json(&json!({ "name": "attic" })).await.answers(200);
    assert_eq!(store.object().await["urlSigningSecretKey"], rotated);
});

contract_test!(a_link_to_look_at_something_opens_just_that_for_some_minutes, async |larder: Larder| {
    let (store, _) = signed_store(&larder).await;
    let ask = async |body| larder.post(format!("/larder/v1/stores/{}/view-link", store.id)).json(&body).await;
    let of_record = ask(json!({ "key": "OUTPUT" })).await.answers(201).data();
    let of_list = ask(json!({})).await.answers(201).data();
    let (record, list) = (of_record["url"].as_str().expect("a link"), of_list["url"].as_str().expect("a link"));
    let signature = of_record["signature"].as_str().expect("a signature");
    assert!(record.ends_with(&format!("/records/OUTPUT?signature={signature}")));
    larder.follow(record).await.answers(200).holds(b"flour");
    larder.follow(list).await.answers(200);
    let zip = list.replace("/keys?", "/records?");
    larder.follow(&zip).await.answers(200);
    for other in ["/records/INPUT", "/keys", "/records", ""] {
        let path = store.path(&format!("{other}?signature={signature}"));
        larder.get(path).anonymous().await.fails(403, "insufficient-permissions");
    }
    let link = format!("/larder/v1/stores/{}/view-link?signature={signature}", store.id);
    larder.post(link).anonymous().await.fails(403, "insufficient-permissions");
    larder.advance(Duration::from_secs(15 * 60 - 1));
    larder.follow(record).await.answers(200);
    larder.advance(Duration::from_secs(2));
    larder.follow(record).await.fails(403, "insufficient-permissions");
    larder.follow(list).await.fails(403, "insufficient-permissions");
    larder.follow(&zip).await.fails(403, "insufficient-permissions");
});

contract_test!(a_link_to_look_at_something_dies_with_the_secret_and_wants_a_key, async |larder: Larder| {
    let (store, _) = signed_store(&larder).await;
    let ask = async |body| larder.post(format!("/larder/v1/stores/{}/view-link", store.id)).json(&body).await;
    let link = ask(json!({ "key": "OUTPUT" })).await.answers(201).data()["url"].as_str().expect("a link").to_owned();
    larder.post(format!("/larder/v1/stores/{}/signing-key/rotate", store.id)).await.answers(200);
    larder.follow(&link).await.fails(403, "insufficient-permissions");
    let long = ask(json!({ "key": "OUTPUT", "lifetimeSecs": 86_400 })).await.answers(201).data();
    larder.advance(Duration::from_secs(24 * 60 * 60 - 1));
    larder.follow(long["url"].as_str().expect("a link")).await.answers(200);
    let reader = larder.user("reader").await;
    let share = format!("/larder/v1/stores/{}/access/reader", store.id);
    larder.put(share).json(&json!({ "right": "read" })).await.answers(200);
    for (lifetime, status) in
        [(json!(900), 201), (json!(901), 400), (json!(0), 400), (json!("1"), 400), (json!(null), 201)]
    {
        let body = json!({ "key": "OUTPUT", "lifetimeSecs": lifetime });
        let path = format!("/larder/v1/stores/{}/view-link", store.id);
        larder.post(path).token(&reader).json(&body).await.answers(status);
    }
    ask(json!({ "key": 7 })).await.fails(400, "invalid-value");
    ask(json!({ "key": "a/b" })).await.fails(400, "invalid-record-key");
});

contract_test!(links_end_with_the_right_to_write_of_a_user_who_could_sign_them, async |larder: Larder| {
    let (store, _) = signed_store(&larder).await;
    let bob = larder.user("bob").await;
    let access = format!("/larder/v1/stores/{}/access/bob", store.id);
    let disabled = |is_disabled: bool| json!({ "isDisabled": is_disabled });
    let link = async || {
        let secret = store.get("").token(&bob).await.answers(200).text("urlSigningSecretKey");
        format!("/records/OUTPUT?signature={}", of_record(&secret, "OUTPUT"))
    };
    let opens = async |link: &str| store.get(link).anonymous().await.status == 200;
    for (number, (keep, ends)) in [("", true), ("?keepLinks=1", false)].into_iter().enumerate() {
        // Lowered.
        store.share("bob", "write").await;
        let known = link().await;
        assert!(opens(&known).await);
        let lowered = larder.put(format!("{access}{keep}")).json(&json!({ "right": "read" })).await.answers(200);
        assert_eq!((opens(&known).await, &lowered.data()["linksRevoked"]), (!ends, &json!(ends)), "{number}");
        // Taken away.
        assert_eq!(store.share("bob", "manage").await.data()["linksRevoked"], false);
        let known = link().await;
        let taken = larder.delete(format!("{access}{keep}")).await.answers(200);
        assert_eq!((opens(&known).await, &taken.data()["linksRevoked"]), (!ends, &json!(ends)), "{number}");
        // Disabled.
        store.share("bob", "write").await;
        let known = link().await;
        let user = format!("/larder/v1/users/bob{keep}");
        let shut_out = larder.put(&user).json(&disabled(true)).await.answers(200);
        assert_eq!((opens(&known).await, &shut_out.data()["linksRevoked"]), (!ends, &json!(ends)), "{number}");
        let secret = store.object().await["urlSigningSecretKey"].clone();
        // To say it again does nothing.
        assert_eq!(larder.put(&user).json(&disabled(true)).await.answers(200).data()["linksRevoked"], false);
        assert_eq!(store.object().await["urlSigningSecretKey"], secret);
        larder.put(&user).json(&disabled(false)).await.answers(200);
    }
    // A user with the right to read only never knew a secret.
    larder.delete(&access).await.answers(200);
    store.share("bob", "read").await;
    let secret = store.object().await["urlSigningSecretKey"].clone();
    assert_eq!(larder.delete(&access).await.answers(200).data()["linksRevoked"], false);
    assert_eq!(store.object().await["urlSigningSecretKey"], secret);
    assert!(larder.get(&access).await.status == 405);
});

contract_test!(links_to_a_disabled_users_own_stores_open_nothing_while_that_lasts, async |larder: Larder| {
    let bob = larder.user("bob").await;
    let made = larder.post(format!("{STORES}?name=cellar")).token(&bob).await.answers(201);
    let store = Store::new(&larder, made.text("id"));
    store.put_text("OUTPUT", "wine").await;
    let record = of_record(&made.text("urlSigningSecretKey"), "OUTPUT");
    let record = format!("/records/OUTPUT?signature={record}");
    let keys = made.text("keysPublicUrl");
    for is_disabled in [false, true, false] {
        larder.put("/larder/v1/users/bob").json(&json!({ "isDisabled": is_disabled })).await.answers(200);
        let wanted = if is_disabled { 403 } else { 200 };
        store.get(&record).anonymous().await.answers(wanted);
        larder.follow(&keys).await.answers(wanted);
        larder.follow(&keys.replace("/keys?", "/records?")).await.answers(wanted);
    }
});

contract_test!(
    no_link_to_a_record_is_one_to_the_keys_and_none_to_the_keys_is_one_to_a_record,
    async |larder: Larder| {
        let (store, secret) = signed_store(&larder).await;
        let end = larder.now().plus(DAY);
        let ends = [("0".to_owned(), None), (end.as_millis().to_string(), Some(end))];
        for (text, end) in ends {
            let key = format!("0.{text}.{}", store.id);
            // The link to the keys carries the signature that a link to the record would have, and the other way round.
            let of_list = of_keys(&secret, &store.id, end);
            let list = String::from_utf8(URL_SAFE_NO_PAD.decode(&of_list).expect("base64")).expect("text");
            let of_record = list.rsplit('.').next().expect("an HMAC");

            store.put(&format!("/records/{key}")).body("x").await.fails(400, "reserved-record-key");
            store.put(&format!("/records/{key}")).chunked(vec!["x".into()]).await.fails(400, "reserved-record-key");
            store.get(&format!("/records/{key}")).await.answers(404);
            // One that is there from before can be read and deleted by callers who have the right, and by no link.
            put_beside(&larder, &store, &key).await;
            store.record(&key).await.answers(200).holds(b"flour");
            for signature in [of_record, of_list.as_str()] {
                let path = format!("/records/{key}?signature={signature}");
                store.get(&path).anonymous().await.fails(403, "insufficient-permissions");
                store.head(&path).anonymous().await.answers(403);
            }
            let listed = store.get("/keys").await.answers(200).data()["items"].clone();
            let item = listed.as_array().expect("a list").iter().find(|item| item["key"] == key.as_str()).cloned();
            let link = item.expect("it is listed")["recordPublicUrl"].as_str().expect("a link").to_owned();
            assert!(link.ends_with(&key), "{link} is not signed");
            // A link that ends is signed in another way, and good for the record alone.
            let view = format!("/larder/v1/stores/{}/view-link", store.id);
            let view = larder.post(view).json(&json!({ "key": key })).await.answers(201).text("url");
            larder.follow(&view).await.answers(200).holds(b"flour");
            let (_, signature) = view.split_once("signature=").expect("it is signed");
            store.get(&format!("/keys?signature={signature}")).anonymous().await.fails(403, "insufficient-permissions");
            store.delete(&format!("/records/{key}")).await.answers(204);
            store.get(&format!("/records/{key}")).await.answers(404);
        }
        // Another store's id is as good as any other text.
        let other = larder.named_store("cellar").await;
        let key = format!("0.0.{}", other.id);
        store.put_text(&key, "wine").await;
        larder
            .get(store.path(&format!("/records/{key}?signature={}", of_record(&secret, &key))))
            .anonymous()
            .await
            .answers(200);
    }
);

/// Writes a record beneath the gateway.
async fn put_beside(larder: &Larder, store: &Store, key: &str) {
    let objects = larder.objects_of(store).await;
    let record = objects.iter().find(|object| object.ends_with("OUTPUT")).expect("the record of the store");
    let attributes = Attributes { content_type: "text/plain".to_owned(), content_encoding: None };
    let options = PutOptions { attributes, precondition: Precondition::None };
    let object = record.replace("OUTPUT", key);
    larder.objects().put(&object, ByteStream::from(Bytes::from_static(b"flour")), options).await.expect("a write");
}
