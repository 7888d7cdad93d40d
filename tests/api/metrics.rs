//! Metrics of a gateway.

use larder::auth::Token;

use crate::harness::{self, Backend, Larder, Reply, STORES, TOKEN};

/// Number of stores, and of concurrent requests that create them.
const STORES_MADE: usize = 10_000;
const MAKERS: usize = 8;

fn text_of(reply: &Reply) -> String {
    String::from_utf8(reply.body.to_vec()).expect("figures are text")
}

/// Returns the value of a metric's line.
fn value(text: &str, line: &str) -> Option<f64> {
    let rest = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '))?;
    rest.parse().ok()
}

contract_test!(requests_are_counted_by_operation_and_status, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "salt").await;
    store.record("a").await.answers(200);
    store.record("a").await.answers(200);
    store.get("/records/absent").await.answers(404);
    larder.get("/nowhere").await.answers(404);
    let reply = larder.get("/metrics").await.answers(200);
    assert_eq!(reply.expect_field("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = text_of(&reply);
    for (line, expected) in [
        (r#"larder_requests_total{operation="create_store",status="201"}"#, 1.0),
        (r#"larder_requests_total{operation="put_record",status="201"}"#, 1.0),
        (r#"larder_requests_total{operation="get_record",status="200"}"#, 2.0),
        (r#"larder_requests_total{operation="get_record",status="404"}"#, 1.0),
        (r#"larder_requests_total{operation="unknown",status="404"}"#, 1.0),
        (r#"larder_request_duration_seconds_count{operation="get_record"}"#, 3.0),
    ] {
        assert_eq!(value(&text, line), Some(expected), "{line}\n{text}");
    }
    assert!(!text.contains(&store.id), "figures know no stores: {text}");
});

contract_test!(figures_grow_no_longer_with_stores, async |larder: Larder| {
    let lines = async || text_of(&larder.get("/metrics").await.answers(200)).lines().count();
    larder.new_store().await;
    lines().await;
    let before = lines().await;
    for _ in 0..20 {
        larder.new_store().await;
    }
    assert_eq!(lines().await, before);
});

/// Returns the series of a scrape: names of metrics and their labels.
fn series(text: &str) -> Vec<String> {
    let of_line = |line: &str| line.rsplit_once(' ').map_or(line, |(series, _)| series).to_owned();
    text.lines().filter(|line| !line.starts_with('#')).map(of_line).collect()
}

#[test]
fn a_scrape_is_no_longer_after_ten_thousand_stores() {
    harness::run(Backend::Memory, |larder| {
        Box::pin(async move {
            let scrape = async || series(&text_of(&larder.get("/metrics").await.answers(200)));
            let store = larder.named_store("store-0").await;
            store.put_text("a", "salt").await;
            store.record("a").await.answers(200);
            scrape().await;
            let before = scrape().await;
            assert!(before.len() > 100, "{before:?}");
            let maker = async |first: usize| {
                for number in (first..=STORES_MADE).step_by(MAKERS) {
                    larder.named_store(&format!("store-{number}")).await;
                }
            };
            let makers = (1..=MAKERS).map(maker);
            futures_util::future::join_all(makers).await;
            let text = text_of(&larder.get("/metrics").await.answers(200));
            let made = value(&text, r#"larder_requests_total{operation="create_store",status="201"}"#);
            assert_eq!(made, Some(10_001.0));
            assert_eq!(series(&text), before);
        })
    });
}

contract_test!(figures_are_for_the_admin_or_a_token_of_their_own, async |larder: Larder| {
    larder.get("/metrics").anonymous().await.fails(401, "token-not-provided");
    let bob = larder.user("bob").await;
    larder.get("/metrics").token(&bob).await.fails(403, "insufficient-permissions");
    larder.get("/metrics").token(TOKEN).await.answers(200);
    let own = larder.restarted_with(|options| options.metrics_token = Some(Token::new("for-figures-only"))).await;
    own.get("/metrics").token("for-figures-only").await.answers(200);
    own.get("/metrics").token("for-figures").await.fails(401, "user-or-token-not-found");
    own.get(STORES).token("for-figures-only").await.fails(401, "user-or-token-not-found");
    own.get("/larder/v1/session").token("for-figures-only").await.fails(401, "user-or-token-not-found");
    own.request("POST", "/metrics").await.fails(405, "method-not-allowed");
});
