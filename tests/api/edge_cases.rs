//! Requests that no well-behaved client sends, and some that only a few do: each has a plain answer, and none does harm.

use bytes::Bytes;

use crate::harness::{Connection, Larder, Reply, STORES, TOKEN, USERNAME, gzip};

contract_test!(a_target_may_name_the_server_too, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    let target = format!("http://{}{}", larder.address(), store.path("/records/a"));
    larder.get(target).await.answers(200).holds(b"x");
});

contract_test!(an_old_client_is_answered, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "flour").await;
    let path = store.path("/records/a");
    let reply = raw(&larder, "GET", &format!("GET {path} HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n")).await;
    assert_eq!(reply.answers(200).body, "flour");
});

contract_test!(requests_in_a_row_are_answered_in_a_row, async |larder: Larder| {
    let store = larder.new_store().await;
    let path = store.path("/records/a");
    let fields = format!("Host: x\r\nAuthorization: Bearer {TOKEN}\r\n");
    let put = format!("PUT {path} HTTP/1.1\r\n{fields}Content-Length: 5\r\n\r\nflour");
    let get = format!("GET {path} HTTP/1.1\r\n{fields}\r\n");
    let mut connection = larder.connect().await;
    connection.write(format!("{put}{get}{get}").as_bytes()).await.expect("they are taken");
    let put = connection.read_reply("PUT in a row", "PUT").await.expect("it is answered");
    put.answers(201);
    for _ in 0..2 {
        let get = connection.read_reply("GET in a row", "GET").await.expect("it is answered");
        get.answers(200).holds(b"flour");
    }
});

contract_test!(an_unexpected_body_does_no_harm, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "flour").await;
    let mut connection = larder.connect().await;
    let reply = store.get("/records/a").body("unasked").send_on(&mut connection).await.answers(200).holds(b"flour");
    if reply.keeps_connection() {
        store.get("/records/a").send_on(&mut connection).await.answers(200).holds(b"flour");
    }
    store.delete("/records/a").body("unasked").await.answers(204);
});

contract_test!(chunks_may_have_extensions_and_trailers, async |larder: Larder| {
    let store = larder.new_store().await;
    let path = store.path("/records/a");
    let request = format!(
        "PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3;name=value\r\nflo\r\n2\r\nur\r\n0\r\nX-Sum: 1\r\n\r\n"
    );
    raw(&larder, "PUT", &request).await.answers(201);
    store.record("a").await.holds(b"flour");
});

contract_test!(a_request_with_two_lengths_writes_nothing, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "old").await;
    let path = store.path("/records/a");
    for lengths in ["Content-Length: 3\r\nContent-Length: 5", "Content-Length: 3\r\nTransfer-Encoding: chunked"] {
        let request = format!(
            "PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n{lengths}\r\n\r\n\
             newer"
        );
        let mut connection = larder.connect().await;
        connection.write(request.as_bytes()).await.expect("it is taken");
        connection.finish_writing().await;
        connection.read_rest().await;
        store.record("a").await.holds(b"old");
    }
});

contract_test!(a_field_that_comes_twice_is_not_half_heard, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "old").await;
    let put = || store.put("/records/a").body("new");
    let coded = put().field("Content-Encoding", "gzip").field("Content-Encoding", "br").await;
    coded.fails(415, "unsupported-content-encoding");
    put().content_type("text/plain").content_type("text/html").await.fails_with(400);
    store.record("a").await.holds(b"old");

    store.put_coded("b", "gzip", gzip(b"flour").await).await;
    let get = store.get("/records/b").field("Accept-Encoding", "br").field("Accept-Encoding", "gzip");
    assert_eq!(get.await.answers(200).expect_field("content-encoding"), "gzip");
    let get = store.get("/records/a").field("If-None-Match", "\"other\"").field("If-None-Match", "*");
    get.await.answers(304);
});

contract_test!(the_method_of_the_query_is_read_in_any_letter_case_and_never_made_up, async |larder: Larder| {
    let store = larder.new_store().await;
    larder.get(format!("{STORES}?method=post&name=shop")).await.answers(201);
    larder.get(format!("{STORES}?method=DELETE")).await.fails(405, "method-not-allowed");
    larder.get(format!("{STORES}?method=BREW")).await.fails_by_the_client();
    larder.get(format!("{STORES}?method=")).await.answers(200);
    store.object().await;
});

contract_test!(a_token_of_another_scheme_is_nobodys, async |larder: Larder| {
    for scheme in ["Basic", "Token", "Bearer:"] {
        let get = larder.get(STORES).anonymous().field("Authorization", format!("{scheme} {TOKEN}"));
        get.await.fails(401, "user-or-token-not-found");
    }
    larder.get(STORES).token("").await.fails_with(401);
    larder.get(format!("{STORES}?token=")).anonymous().await.fails_with(401);
    larder.get(format!("{STORES}?token={}", TOKEN.to_uppercase())).anonymous().await.fails_with(401);
});

contract_test!(a_path_is_decoded_but_never_walked, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.put_text("a", "x").await;
    let escaped = format!("%{:02x}{}", store.id.as_bytes()[0], &store.id[1..]);
    larder.get(format!("{STORES}/{escaped}/records/%61")).await.answers(200).holds(b"x");
    let id = &store.id;
    for path in [
        format!("{STORES}/{id}/../{id}"),
        format!("{STORES}/./{id}"),
        format!("{STORES}//{id}"),
        format!("{STORES}/{id}/records/x/../a"),
        format!("{STORES}/{id}/records//a"),
        format!("{STORES}/{id}%2Frecords%2Fa"),
        format!("{STORES}/{USERNAME}/shop"),
        format!("/v2/../v2{}", store.path("")),
    ] {
        larder.get(&path).await.fails_with(404);
        larder.delete(&path).await.fails_by_the_client();
    }
    store.record("a").await.holds(b"x");
});

contract_test!(parameters_are_decoded_as_forms_are, async |larder: Larder| {
    let store = larder.new_store().await;
    for key in ["a", "a!'(b)", "b"] {
        store.put_text(key, "x").await;
    }
    for (query, keys) in [
        ("prefix=a%21%27", &["a!'(b)"][..]),
        ("prefix=a!'(", &["a!'(b)"]),
        ("%70refix=b", &["b"]),
        ("exclusiveStartKey=a%21%27%28b%29", &["b"]),
        ("limit=&prefix=&exclusiveStartKey=", &["a", "a!'(b)", "b"]),
        ("prefix=b&prefix=a", &["b"]),
        ("PREFIX=b", &["a", "a!'(b)", "b"]),
        ("prefix=%zz", &[]),
        ("prefix=%ff", &[]),
    ] {
        let page = store.get(&format!("/keys?{query}")).await.answers(200);
        assert_eq!(page.texts_of_items("key"), keys, "{page}");
    }
});

contract_test!(head_is_answered_wherever_get_is, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "x").await;
    for request in [larder.head(STORES), store.head(""), store.head("/keys"), store.head("/records")] {
        let reply = request.await.answers(200).holds(b"");
        assert!(reply.field("content-type").is_some(), "{reply}");
    }
    larder.head("/v2/nope").await.answers(404).holds(b"");
});

contract_test!(a_target_without_end_is_refused, async |larder: Larder| {
    let long = "k".repeat(20_000);
    larder.get(format!("{STORES}/{long}")).await.answers_one_of(&[404, 414]);
    larder.get(format!("{STORES}?search={long}")).await.answers_one_of(&[200, 400, 414]);
});

contract_test!(a_body_is_read_to_its_end_however_it_is_cut_up, async |larder: Larder| {
    let store = larder.new_store().await;
    let pieces: Vec<Bytes> = b"flour, salt".chunks(1).map(Bytes::copy_from_slice).collect();
    store.put("/records/a").chunked(pieces).await.answers(201);
    store.record("a").await.holds(b"flour, salt");
    let mut connection = larder.connect().await;
    let path = store.path("/records/b");
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\
         Content-Length: 5\r\n\r\n"
    );
    for byte in [head.as_bytes(), b"flour"].concat() {
        connection.write(&[byte]).await.expect("it is taken");
    }
    connection.read_reply("PUT byte by byte", "PUT").await.expect("it is answered").answers(201);
    store.record("b").await.holds(b"flour");
});

async fn raw(larder: &Larder, method: &str, request: &str) -> Reply {
    let mut connection = Connection::open(larder.address()).await;
    connection.write(request.as_bytes()).await.expect("the request is taken");
    let what = request.lines().next().unwrap_or_default();
    connection.read_reply(what, method).await.unwrap_or_else(|error| panic!("{what}: {error}"))
}
