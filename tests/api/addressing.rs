//! Addresses of stores: by id, or by name and owner.

use crate::harness::{Larder, PUBLIC_URL, STORES, USERNAME};

contract_test!(case_043_a_store_is_found_by_its_id, async |larder: Larder| {
    let store = larder.new_store().await;
    assert_eq!(store.object().await["id"], store.id.as_str());
});

contract_test!(ids_are_case_sensitive, async |larder: Larder| {
    let store = larder.new_store().await;
    let swapped: String = store.id.chars().map(swap_case).collect();
    assert_ne!(swapped, store.id);
    larder.get(format!("{STORES}/{swapped}")).await.fails(404, "record-not-found");
});

fn swap_case(letter: char) -> char {
    if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
}

contract_test!(case_044_an_unknown_id_is_404, async |larder: Larder| {
    for id in ["unknown17charsabcde", "abcdefghijklmnopq", "a", "-", "%20", "..", ".", "%00"] {
        larder.get(format!("{STORES}/{id}")).await.fails(404, "record-not-found");
    }
});

contract_test!(case_045_a_bare_name_is_an_unknown_id, async |larder: Larder| {
    larder.named_store("shop").await;
    larder.get(format!("{STORES}/shop")).await.fails(404, "record-not-found");
    larder.put(format!("{STORES}/shop/records/a")).body("x").await.fails(404, "record-not-found");
});

contract_test!(case_046_the_owner_may_be_left_out_of_a_name, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    assert_eq!(larder.get(format!("{STORES}/~shop")).await.answers(200).text("id"), store.id);
});

contract_test!(case_047_a_name_is_found_in_any_letter_case, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    assert_eq!(larder.get(format!("{STORES}/~SHOP")).await.answers(200).text("id"), store.id);
});

contract_test!(case_048_a_store_is_found_by_its_owner_and_its_name, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    assert_eq!(larder.get(format!("{STORES}/{USERNAME}~shop")).await.answers(200).text("id"), store.id);
    assert_eq!(larder.get(format!("{STORES}/{USERNAME}%7Eshop")).await.answers(200).text("id"), store.id);
});

contract_test!(case_049_an_owner_is_found_in_any_letter_case, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    let owner = USERNAME.to_ascii_uppercase();
    assert_eq!(larder.get(format!("{STORES}/{owner}~shop")).await.answers(200).text("id"), store.id);
});

contract_test!(case_050_an_owner_is_found_by_user_id, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    let owner = larder.get("/v2/users/me").await.text("id");
    assert_eq!(larder.get(format!("{STORES}/{owner}~shop")).await.answers(200).text("id"), store.id);
});

contract_test!(case_051_an_escaped_slash_separates_owner_and_name, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    for path in [format!("{USERNAME}%2Fshop"), format!("{USERNAME}%2fshop")] {
        assert_eq!(larder.get(format!("{STORES}/{path}")).await.answers(200).text("id"), store.id);
    }
});

contract_test!(case_052_a_name_without_an_owner_needs_a_token, async |larder: Larder| {
    larder.named_store("shop").await;
    larder.get(format!("{STORES}/~shop")).anonymous().await.fails(401, "token-not-provided");
});

contract_test!(case_053_no_owner_and_no_name_is_400, async |larder: Larder| {
    larder.get(format!("{STORES}/~")).await.fails(400, "invalid-request");
});

contract_test!(case_054_an_owner_and_no_name_is_400, async |larder: Larder| {
    larder.get(format!("{STORES}/{USERNAME}~")).await.fails(400, "invalid-request");
    larder.get(format!("{STORES}/{USERNAME}%2F")).await.fails(400, "invalid-request");
});

contract_test!(case_055_an_unknown_name_is_404, async |larder: Larder| {
    larder.named_store("shop").await;
    for name in [format!("{USERNAME}~absent"), "~absent".to_owned(), "absent~shop".to_owned()] {
        larder.get(format!("{STORES}/{name}")).await.fails(404, "record-not-found");
    }
});

contract_test!(case_057_a_restricted_store_is_hidden_from_every_other_caller, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    for rest in ["", "/keys", "/records", "/records/a"] {
        let reply = store.get(rest).anonymous().await.answers_one_of(&[401, 403]);
        reply.fails_by_the_client();
    }
    store.head("/records/a").anonymous().await.answers_one_of(&[401, 403]);
});

contract_test!(case_063_dates_are_in_utc_with_milliseconds, async |larder: Larder| {
    let store = larder.new_store().await.object().await;
    for date in ["createdAt", "modifiedAt", "accessedAt"] {
        let text = store[date].as_str().expect("a date is a string");
        let moment: larder::clock::Timestamp = text.parse().expect("a date is ISO 8601");
        assert_eq!(moment.to_string(), text, "{date} is not in UTC with milliseconds");
    }
});

contract_test!(a_record_is_addressed_through_its_stores_name, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    let path = format!("{STORES}/~shop/records/a");
    let reply = larder.put(&path).content_type("text/plain").body("x").await.answers(201);
    let by_id = format!("{PUBLIC_URL}{}", store.path("/records/a"));
    assert_eq!(reply.expect_field("location"), by_id, "{reply} does not name the store by its id");
    larder.get(&path).await.answers(200).holds(b"x");
    store.record("a").await.holds(b"x");
    assert_eq!(larder.get(format!("{STORES}/{USERNAME}~SHOP/keys")).await.texts_of_items("key"), ["a"]);
    larder.delete(&path).await.answers(204);
    store.get("/records/a").await.fails(404, "record-not-found");
});
