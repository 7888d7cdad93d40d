//! Content that a browser would run: it is given unchanged, and fenced in.

use crate::harness::{Larder, brotli};

/// Types that a browser may run something of.
const ACTIVE: [&str; 10] = [
    "text/html",
    "text/html; charset=utf-8",
    "Text/HTML",
    "image/svg+xml",
    "application/xhtml+xml",
    "text/xml",
    "application/xml",
    "application/pdf",
    // Several types to a browser, which goes by the last.
    "text/plain; a=b, text/html",
    "image/png;a,text/html",
];

contract_test!(active_content_is_given_unchanged_and_fenced_in, async |larder: Larder| {
    let store = larder.new_store().await;
    let page = b"<html><head></head><body onload=\"alert(1)\"><script>1</script></body></html>";
    for content_type in ACTIVE {
        store.put_bytes("page", content_type, &page[..]).await;
        let reply = store.record("page").await.holds(page);
        assert_eq!(reply.expect_field("content-type"), content_type, "{reply}");
        assert_eq!(reply.expect_field("x-content-type-options"), "nosniff", "{reply} of {content_type}");
        let policy = reply.expect_field("content-security-policy");
        let sandbox = policy.split(';').find(|directive| directive.trim().starts_with("sandbox"));
        let sandbox = sandbox.unwrap_or_else(|| panic!("{reply} of {content_type} is not sandboxed: {policy}"));
        assert!(!sandbox.contains("allow-same-origin"), "{reply} of {content_type}: {policy}");
        assert!(!sandbox.contains("allow-scripts"), "{reply} of {content_type}: {policy}");
    }
});

contract_test!(what_a_browser_might_take_for_active_is_not_sniffed, async |larder: Larder| {
    let store = larder.new_store().await;
    for content_type in ["text/plain", "application/octet-stream", "application/json", "image/png"] {
        store.put_bytes("a", content_type, "<script>1</script>").await;
        let reply = store.record("a").await;
        assert_eq!(reply.expect_field("x-content-type-options"), "nosniff", "{reply} of {content_type}");
    }
});

contract_test!(compressed_active_content_is_fenced_in_too, async |larder: Larder| {
    let store = larder.new_store().await;
    let body = brotli(b"<p>flour</p>").await;
    let put = store.put("/records/page").content_type("text/html").field("Content-Encoding", "br");
    put.body(body.clone()).await.answers(201);
    for accepted in ["br", "identity"] {
        let reply = store.get("/records/page").field("Accept-Encoding", accepted).await.answers(200);
        assert!(reply.expect_field("content-security-policy").contains("sandbox"), "{reply}");
    }
});

contract_test!(an_attachment_is_given_byte_for_byte, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_bytes("page", "text/html", "<html><head></head></html>").await;
    let reply = store.get("/records/page?attachment=true").await.answers(200).holds(b"<html><head></head></html>");
    assert!(reply.expect_field("content-disposition").starts_with("attachment"), "{reply}");
    assert_eq!(reply.expect_field("x-content-type-options"), "nosniff", "{reply}");
});

contract_test!(nothing_is_a_script_of_this_servers_own_pages, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_bytes("a", "text/javascript", "1").await;
    let ask =
        |site, destination| store.get("/records/a").field("Sec-Fetch-Site", site).field("Sec-Fetch-Dest", destination);
    for destination in ["script", "style", "worker", "sharedworker", "serviceworker"] {
        ask("same-origin", destination).await.fails(403, "not-code");
    }
    ask("same-origin", "empty").await.answers(200).holds(b"1");
    ask("cross-site", "script").await.answers(200).holds(b"1");
    store.get("/records/a").field("Service-Worker", "script").await.fails(403, "not-code");
});

contract_test!(a_record_is_shown_alone_when_asked_for_whatever_its_type_is, async |larder: Larder| {
    let store = larder.new_store().await;
    for content_type in ["text/html", "image/svg+xml", "text/plain"] {
        store.put_bytes("page", content_type, "<img src=https://elsewhere.example/a>").await;
        let reply = store.get("/records/page?blockRemoteContent=1").await.answers(200);
        let policy = reply.expect_field("content-security-policy");
        assert!(policy.starts_with("sandbox; default-src 'none'") && !policy.contains('*'), "{policy}");
        assert!(!policy.contains("http") && !policy.contains("self"), "{policy}");
        assert_eq!(reply.expect_field("x-dns-prefetch-control"), "off");
    }
    store.put_bytes("page", "text/html", "x").await;
    for query in ["", "?blockRemoteContent=0"] {
        let reply = store.get(&format!("/records/page{query}")).await.answers(200);
        assert!(reply.expect_field("content-security-policy").contains("img-src *"), "{reply}");
    }
});
