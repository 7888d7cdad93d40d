//! Datasets and request queues: rejected with advice, or relayed to an upstream with another token.
#![expect(clippy::disallowed_methods, reason = "a test's runtime ends with the test, and its tasks with it")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full};
use larder::{
    clock::SystemClock,
    server::{ClientAddr, Handler, RequestBody, Server, ServerOptions, Workers},
};
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::harness::{Larder, TOKEN};

/// Token of Larder at the upstream.
const UPSTREAM_TOKEN: &str = "apify_api_upstreamupstreamupstreamupstream12";

/// Some of the paths that are served elsewhere.
const PATHS: [&str; 4] = [
    "/v2/datasets",
    "/v2/datasets/absent/items?clean=1",
    "/v2/request-queues",
    "/v2/request-queues/absent/requests/batch",
];

/// Some that are behind runs.
const PATHS_OF_RUNS: [&str; 3] = [
    "/v2/actor-runs/absent/dataset/items",
    "/v2/actor-runs/absent/request-queue",
    "/v2/actor-tasks/absent/runs/last/dataset",
];

/// A request as it came to the upstream.
#[derive(Debug, Clone)]
struct Came {
    what: String,
    headers: HeaderMap,
}

/// A server for the parts of the API that Larder has not: it records the requests, and returns what it was sent.
#[derive(Clone, Default)]
struct StandIn(Arc<Mutex<Vec<Came>>>);

impl StandIn {
    fn start(&self) -> SocketAddr {
        let options = ServerOptions { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..ServerOptions::default() };
        let server = Server::bind(options, Arc::new(SystemClock)).expect("there is a free port");
        let address = server.local_addr();
        let upstream = self.clone();
        tokio::spawn(async move { server.run(upstream, &Workers::default(), std::future::pending()).await });
        address
    }

    fn came(&self) -> Vec<Came> {
        self.0.lock().expect("no thread panicked").clone()
    }
}

impl Handler for StandIn {
    type Body = Either<Full<Bytes>, RequestBody>;

    async fn handle(&self, request: Request<RequestBody>, _: ClientAddr) -> Response<Self::Body> {
        let (head, body) = request.into_parts();
        let came = Came { what: format!("{} {}", head.method, head.uri), headers: head.headers };
        self.0.lock().expect("no thread panicked").push(came);
        let mut response = if head.uri.path() == "/v2/datasets/echo/items" {
            Response::new(Either::Right(body))
        } else {
            let sent = body.collect().await.expect("it is whole").to_bytes();
            let made = match (head.method.as_str(), head.uri.path(), head.uri.query()) {
                ("POST", "/v2/datasets", None) => Some("Dt7mWc2ZtHn4KxR9a"),
                ("POST", "/v2/request-queues", None) => Some("a-queue-of-another_make"),
                _ => None,
            };
            let answer = match made {
                Some(id) => json!({ "data": { "id": id } }).to_string(),
                None => format!("{} bytes came", sent.len()),
            };
            Response::new(Either::Left(Full::from(answer)))
        };
        *response.status_mut() = if head.method == "DELETE" { StatusCode::IM_A_TEAPOT } else { StatusCode::CREATED };
        let told = [("content-type", "text/x-told"), ("set-cookie", "session=upstream"), ("x-told", "yes")];
        for (name, value) in told {
            response.headers_mut().insert(name, value.parse().expect("a value"));
        }
        response
    }

    fn panicked(&self) -> Response<Self::Body> {
        panic!("the stand-in panicked; its story is above");
    }

    fn without_host(&self, _: Request<RequestBody>, _: &ClientAddr) -> Response<Self::Body> {
        panic!("gateways name a host");
    }
}

contract_test!(datasets_and_request_queues_are_refused_with_what_to_do_instead, async |larder: Larder| {
    for path in PATHS.into_iter().chain(PATHS_OF_RUNS) {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let reply = larder.request(method, path).await;
            let message = reply.fails(403, "platform-feature-disabled");
            assert!(message.contains("local storage") && message.contains("LARDER_UPSTREAM_URL"), "{message}");
        }
    }
    larder.get("/v2/datasets").token("wrong").await.fails(401, "user-or-token-not-found");
    larder.get("/v2/datasetsx").await.fails(404, "page-not-found");
    larder.get("/v2/actor-runs/absent/key").await.answers(404);
});

contract_test!(an_upstream_is_asked_in_its_own_name_and_never_sees_the_callers, async |larder: Larder| {
    let stand_in = StandIn::default();
    let larder = larder.relaying_to(stand_in.start(), UPSTREAM_TOKEN).await;
    let reply = larder
        .post(format!("/v2/datasets/abc/items?clean=1&token={TOKEN}&x=%20y"))
        .field("Cookie", format!("session={TOKEN}"))
        .field("X-Own", "kept")
        .field("Keep-Alive", "timeout=5")
        .field("TE", "trailers")
        .json(&json!([{ "page": 1 }]))
        .await
        .answers(201);
    assert_eq!((reply.expect_field("content-type"), reply.expect_field("x-told")), ("text/x-told", "yes"));
    assert_eq!(reply.field("set-cookie"), None);
    assert!(reply.expect_field("content-security-policy").contains("sandbox"), "{reply}");
    let reply = reply.holds(b"12 bytes came");
    assert!(reply.field("x-request-id").is_some());
    larder.delete("/v2/request-queues/q").await.answers(418);
    larder.get(format!("/v2/datasets?%74oken={TOKEN}")).anonymous().await.answers(201);
    larder.get(format!("/v2/datasets?limit=1&token={TOKEN}")).anonymous().await.answers(201);
    let came = stand_in.came();
    let asked: Vec<&str> = came.iter().map(|came| came.what.as_str()).collect();
    assert_eq!(
        asked,
        [
            "POST /v2/datasets/abc/items?clean=1&x=%20y",
            "DELETE /v2/request-queues/q",
            "GET /v2/datasets",
            "GET /v2/datasets?limit=1"
        ]
    );
    for came in &came {
        let own: Vec<_> = came.headers.get_all(header::AUTHORIZATION).iter().collect();
        assert_eq!(own, [format!("Bearer {UPSTREAM_TOKEN}").as_str()]);
        assert!(!format!("{came:?}").contains(TOKEN));
        for hop in ["connection", "keep-alive", "te", "cookie"] {
            assert_eq!(came.headers.get(hop), None, "{hop}");
        }
    }
    assert_eq!(came[0].headers["x-own"], "kept");
});

contract_test!(only_who_is_known_here_without_limits_reaches_the_upstream, async |larder: Larder| {
    let stand_in = StandIn::default();
    let larder = larder.relaying_to(stand_in.start(), UPSTREAM_TOKEN).await;
    larder.user("alice").await;
    let scoped = larder.token_of("alice", &json!({ "list": true, "create": true })).await;
    for path in PATHS {
        larder.get(path).anonymous().await.fails(401, "token-not-provided");
        larder.get(path).token("wrong").await.fails(401, "user-or-token-not-found");
        larder.get(path).token(&scoped).await.fails(403, "insufficient-permissions");
        larder.get(path).token(UPSTREAM_TOKEN).await.fails(401, "user-or-token-not-found");
    }
    for path in ["/v2/datasets/../acts", "/v2/datasets/%2e%2e/acts", "/v2/datasets/a%2f..%2f..%2facts"] {
        larder.get(path).await.fails(400, "invalid-request");
    }
    assert_eq!(stand_in.came().len(), 0);
});

contract_test!(what_is_relayed_streams_both_ways_at_once, async |larder: Larder| {
    let larder = larder.relaying_to(StandIn::default().start(), UPSTREAM_TOKEN).await;
    let mut connection = larder.connect().await;
    let head = format!(
        "POST /v2/datasets/echo/items HTTP/1.1\r\nHost: larder\r\nAuthorization: Bearer {TOKEN}\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    connection.write(head.as_bytes()).await.expect("it is taken");
    for piece in ["first", "other"] {
        let chunk = format!("5\r\n{piece}\r\n");
        connection.write(chunk.as_bytes()).await.expect("it is taken");
        if piece == "first" {
            assert_eq!(connection.read_head().await.expect("an answer begins").status, 201);
        }
        // The bytes return before anything more was sent: no hop waits for the end.
        assert_eq!(connection.read_exactly(chunk.len()).await.expect("it is back"), chunk);
    }
    connection.write(b"0\r\n\r\n").await.expect("it is taken");
    assert_eq!(connection.read_exactly(5).await.expect("it ends"), "0\r\n\r\n");
});

contract_test!(without_its_upstream_larder_says_so_and_serves_its_own, async |larder: Larder| {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let larder = larder.relaying_to(address, UPSTREAM_TOKEN).await;
    let reply = larder.get("/v2/datasets").await;
    reply.fails(503, "upstream-unavailable");
    assert_eq!(reply.expect_field("retry-after"), "5");
    larder.new_store().await.put_text("k", "flour").await;
});

contract_test!(an_upstream_that_breaks_off_is_a_failure_of_its_own, async |larder: Larder| {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            // All of it: what is closed with something unread may look as if it had never been there.
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a request comes"));
            }
        }
    });
    let larder = larder.relaying_to(address, UPSTREAM_TOKEN).await;
    larder.get("/v2/datasets").await.fails(502, "upstream-failed");
});

contract_test!(an_upstream_that_would_have_to_relay_itself_is_refused, async |larder: Larder| {
    let last = larder.relaying_to(StandIn::default().start(), UPSTREAM_TOKEN).await;
    let first = larder.relaying_to(last.address(), TOKEN).await;
    first.get("/v2/datasets").await.fails(508, "relay-loop");
    last.get("/v2/datasets").await.answers(201);
});

contract_test!(a_run_has_a_dataset_and_a_queue_of_its_own_at_the_upstream, async |larder: Larder| {
    let stand_in = StandIn::default();
    let larder = larder.relaying_to(stand_in.start(), UPSTREAM_TOKEN).await;
    let run = larder.post("/v2/acts/oven/runs").await.answers(201).data();
    let (dataset, queue) = (&run["defaultDatasetId"], &run["defaultRequestQueueId"]);
    assert_eq!((dataset, queue), (&json!("Dt7mWc2ZtHn4KxR9a"), &json!("a-queue-of-another_make")));
    assert_eq!(run["storageIds"]["datasets"]["default"], *dataset);
    let run = run["id"].as_str().expect("an id");
    let entry = larder.post(format!("/larder/v1/runs/{run}/environment")).await.answers(201).data();
    assert_eq!(entry["environment"]["ACTOR_DEFAULT_DATASET_ID"], *dataset);
    assert_eq!(entry["environment"]["APIFY_DEFAULT_REQUEST_QUEUE_ID"], *queue);
    let token = entry["environment"]["APIFY_TOKEN"].as_str().expect("a token");
    let before = stand_in.came().len();
    for (path, arrives) in [
        ("/v2/datasets/Dt7mWc2ZtHn4KxR9a/items?clean=1", "/v2/datasets/Dt7mWc2ZtHn4KxR9a/items?clean=1"),
        ("/v2/request-queues/a-queue-of-another_make", "/v2/request-queues/a-queue-of-another_make"),
        (&format!("/v2/actor-runs/{run}/dataset/items?x=1"), "/v2/datasets/Dt7mWc2ZtHn4KxR9a/items?x=1"),
        (&format!("/v2/actor-runs/{run}/request-queue"), "/v2/request-queues/a-queue-of-another_make"),
    ] {
        larder.post(path).token(token).json(&json!([1])).await.answers(201).holds(b"3 bytes came");
        assert_eq!(stand_in.came().last().expect("it came").what, format!("POST {arrives}"));
    }
    larder.get("/v2/acts/oven/runs/last/dataset/items").await.answers(201);
    assert_eq!(stand_in.came().last().expect("it came").what, "GET /v2/datasets/Dt7mWc2ZtHn4KxR9a/items");
    assert_eq!(stand_in.came().len(), before + 5);
    for path in
        PATHS.into_iter().chain(["/v2/datasets/a-queue-of-another_make", "/v2/request-queues/Dt7mWc2ZtHn4KxR9a"])
    {
        larder.get(path).token(token).await.fails(403, "insufficient-permissions");
    }
    larder
        .post(format!("/larder/v1/runs/{run}/finish"))
        .token(token)
        .json(&json!({ "exitCode": 0 }))
        .await
        .answers(200)
        .data();
    larder.get("/v2/datasets/Dt7mWc2ZtHn4KxR9a").token(token).await.fails(401, "user-or-token-not-found");
    assert_eq!(stand_in.came().len(), before + 5);
});

contract_test!(who_may_see_a_run_only_reads_what_it_has_at_the_upstream, async |larder: Larder| {
    let stand_in = StandIn::default();
    let larder = larder.relaying_to(stand_in.start(), UPSTREAM_TOKEN).await;
    let run = larder.post("/v2/acts/oven/runs").await.answers(201).data();
    let store = &run["defaultKeyValueStoreId"];
    let items = format!("/v2/actor-runs/{}/dataset/items", run["id"].as_str().expect("an id"));
    let scope = json!({ "stores": [{ "id": store, "right": "read" }] });
    let reader = larder.token_of("admin", &scope).await;
    larder.user("alice").await;
    let stranger = larder.token_of("alice", &json!(null)).await;
    let before = stand_in.came().len();
    larder.get(&items).token(&reader).await.answers(201);
    assert_eq!(stand_in.came().len(), before + 1);
    larder.post(&items).token(&reader).await.fails(403, "insufficient-permissions");
    larder.get(format!("{items}?method=POST")).token(&reader).await.fails(403, "insufficient-permissions");
    larder.get(format!("{items}?METHOD=POST")).token(&reader).await.fails(403, "insufficient-permissions");
    larder.get(&items).token(&stranger).await.fails(403, "insufficient-permissions");
    larder.get(&items).anonymous().await.fails(401, "token-not-provided");
    for path in PATHS_OF_RUNS {
        larder.get(path).await.answers(404);
        larder.get(path).anonymous().await.fails(401, "token-not-provided");
    }
    let public = larder
        .put(items.trim_end_matches("/dataset/items"))
        .json(&json!({ "generalAccess": "ANYONE_WITH_ID_CAN_READ" }));
    public.await.answers(200).data();
    larder.get(&items).anonymous().await.fails(401, "token-not-provided");
    assert_eq!(stand_in.came().len(), before + 1);
});

contract_test!(no_run_is_made_without_what_it_has_at_the_upstream, async |larder: Larder| {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let larder = larder.relaying_to(address, UPSTREAM_TOKEN).await;
    larder.post("/v2/acts/oven/runs").await.fails(503, "upstream-unavailable");
    assert_eq!(larder.get("/v2/actor-runs").await.answers(200).data()["total"], 0);
    assert_eq!(larder.get("/v2/key-value-stores?unnamed=1").await.answers(200).data()["total"], 0);
});
