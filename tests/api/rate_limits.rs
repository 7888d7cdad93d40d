//! Rate limits: the requests per second that are accepted, where that is limited.

use futures_util::future::join_all;
use larder::{api::RateOptions, auth::Token, clock::SeededRandom};

use crate::harness::{Larder, Store};

async fn limited(larder: &Larder, rates: RateOptions) -> Larder {
    larder.restarted_with(|options| options.rates = rates).await
}

/// Sends so many requests for something in the store, all at once over a few connections. Returns the number of
/// rejected ones.
async fn refused(store: &Store, rest: &str, times: usize) -> usize {
    const CONNECTIONS: usize = 8;
    let asked = (0..CONNECTIONS).map(async |connection| {
        let (mut socket, mut refused) = (store.larder().connect().await, 0);
        for _ in (connection..times).step_by(CONNECTIONS) {
            let reply = store.get(rest).send_on(&mut socket).await;
            if reply.status == 429 {
                assert_eq!(reply.expect_field("retry-after"), "1");
                assert!(reply.fails(429, "rate-limit-exceeded").contains("rate limit of"), "{reply}");
                refused += 1;
            }
        }
        refused
    });
    join_all(asked).await.into_iter().sum()
}

contract_test!(case_014_the_sixty_first_request_of_a_second_is_one_too_many, async |larder: Larder| {
    let larder = limited(&larder, RateOptions { store: Some(60), ..RateOptions::default() }).await;
    let store = larder.named_store("shop").await;
    assert_eq!(refused(&store, "", 61).await, 1);
    let other = larder.named_store("cellar").await;
    assert_eq!(refused(&other, "", 60).await, 0, "every store has its own");
    assert_eq!(store.get("").await.expect_field("x-ratelimit-limit"), "60");
});

contract_test!(case_015_two_hundred_records_a_second_are_read, async |larder: Larder| {
    let larder = limited(&larder, RateOptions { store: Some(1), records: Some(200), caller: None }).await;
    let store = larder.named_store("shop").await;
    store.put_text("a", "flour").await;
    larder.sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(refused(&store, "/records/a", 200).await, 0);
    assert_eq!(store.get("/records/a").await.expect_field("x-ratelimit-limit"), "200");
});

contract_test!(each_caller_has_a_separate_limit, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.open_to("ANYONE_WITH_ID_CAN_READ").await;
    let bob = larder.user("bob").await;
    let larder = limited(&larder, RateOptions { caller: Some(5), ..RateOptions::default() }).await;
    let store = store.behind(&larder);
    for (name, token) in [("bob", Some(bob.as_str())), ("anonymous", None), ("the owner", Some(crate::harness::TOKEN))]
    {
        for request in 1..=6 {
            let get = store.get("");
            let reply = match token {
                Some(token) => get.token(token).await,
                None => get.anonymous().await,
            };
            assert_eq!(reply.status, if request <= 5 { 200 } else { 429 }, "{name}: {reply}");
        }
    }
    // The limit for anonymous callers also covers callers that guess tokens.
    store.get("").token("larder_guessed").await.fails(429, "rate-limit-exceeded");
});

contract_test!(guesses_beyond_the_limit_are_refused_before_anything_is_read, async |larder: Larder| {
    const GUESSES: usize = 40;
    const LIMIT: u32 = 5;
    let bob = larder.user("bob").await;
    let larder = limited(&larder, RateOptions { caller: Some(LIMIT), ..RateOptions::default() }).await;
    // A token that is known counts by its user, also where the address has no guess left.
    larder.get("/v2/users/me").token(&bob).await.answers(200);
    let mut refused = 0;
    let calls = larder
        .calls(async || {
            for guess in 0..GUESSES {
                let token = Token::generate(&SeededRandom::new(guess as u64));
                let reply = larder.get("/v2/users/me").token(token.reveal()).await;
                refused += usize::from(reply.answers_one_of(&[401, 429]).status == 429);
            }
        })
        .await;
    assert!(refused > 0, "the test took so long that no second had too many guesses");
    assert!(calls.total() <= GUESSES - refused, "{refused} answers were 429, and yet there were {calls:?}");
    larder.get("/v2/users/me").token(&bob).await.answers(200);
});
