//! Common properties of replies: cache control, restrictions for browsers, and HEAD.

use serde_json::json;

use crate::harness::{Larder, PUBLIC_URL, STORES};

contract_test!(head_is_answered_wherever_get_is, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_text("a", "x").await;
    for path in [STORES.to_owned(), store.path(""), store.path("/keys"), store.path("/records"), "/v2/users/me".into()]
    {
        let (head, get) = (larder.head(&path).await.answers(200).holds(b""), larder.get(&path).await.answers(200));
        assert_eq!(head.field("content-type"), get.field("content-type"), "{head}");
    }
    larder.head(format!("{STORES}/~absent")).await.answers(404).holds(b"");
    larder.head("/v2/nope").await.answers(404).holds(b"");
});

contract_test!(no_reply_is_kept_or_sniffed_unasked, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    let requests = [larder.get(STORES), store.get(""), store.get("/keys"), store.get("/records/none")];
    for request in requests.into_iter().chain([larder.get("/v2/nope"), larder.get(STORES).anonymous()]) {
        let reply = request.await;
        assert_eq!(reply.expect_field("cache-control"), "no-store", "{reply}");
        assert_eq!(reply.expect_field("x-content-type-options"), "nosniff", "{reply}");
    }
    let record = store.record("a").await;
    let kept = record.expect_field("cache-control");
    assert!(kept.contains("private") && kept.contains("no-cache"), "{record}: {kept}");
});

contract_test!(a_missing_token_is_asked_for, async |larder: Larder| {
    let reply = larder.get(STORES).anonymous().await;
    assert_eq!(reply.expect_field("www-authenticate"), "Bearer", "{reply}");
});

contract_test!(links_to_what_anyone_may_read_are_not_signed, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    let plain = format!("{PUBLIC_URL}{}", store.path("/records/a"));
    for (access, is_signed) in [
        ("ANYONE_WITH_ID_CAN_READ", false),
        ("ANYONE_WITH_NAME_CAN_READ", false),
        ("RESTRICTED", true),
        ("FOLLOW_USER_SETTING", true),
    ] {
        store.put("").json(&json!({ "generalAccess": access })).await.answers(200);
        let page = store.get("/keys").await.data();
        let link = page["items"][0]["recordPublicUrl"].as_str().expect("a link is a text");
        assert_eq!((link == plain, link.starts_with(&plain)), (!is_signed, true), "{access}: {link}");
    }
});

contract_test!(a_write_over_what_has_not_changed_since_keeps_what_has, async |larder: Larder| {
    let store = larder.new_store().await;
    let since = "If-Unmodified-Since";
    let (past, future) = ("Thu, 01 Jan 2015 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT");
    store.put("/records/a").field(since, past).body("first").await.answers(201);
    store.put("/records/a").field(since, past).body("second").await.fails(412, "precondition-failed");
    store.delete("/records/a").field(since, past).await.fails(412, "precondition-failed");
    store.record("a").await.holds(b"first");
    store.put("/records/a").field(since, future).body("third").await.answers(201);
    store.record("a").await.holds(b"third");
    store.delete("/records/a").field(since, future).await.answers(204);
    store.delete("/records/a").field(since, past).await.answers(204);
});

contract_test!(contradicting_conditions_never_overwrite, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "old").await;
    let etag = store.record("a").await.expect_field("etag").to_owned();
    let put = store.put("/records/a").field("If-Match", etag).field("If-None-Match", "*").body("new");
    put.await.answers_one_of(&[400, 412]).fails_by_the_client();
    store.record("a").await.holds(b"old");
});

contract_test!(an_archive_tells_when_its_records_were_written, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    let bytes = store.get("/records").await.answers(200).body;
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes.to_vec())).expect("it is an archive");
    let date = archive.by_index(0).expect("it has an entry").last_modified().expect("the entry has a date");
    assert!(larder.now().to_string().starts_with(&format!("{:04}-{:02}-", date.year(), date.month())), "{date}");
});
