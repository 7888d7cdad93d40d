//! Names of others' stores and of users: a response reveals nothing of them, neither by its contents nor by its cost.

use larder::kv::CacheOptions;
use serde_json::json;

use crate::{
    harness::{Calls, Larder, STORES, Store},
    leader::leader_and_another,
};

/// Calls of a first look-up by the owner's name: the owner's account, the claim of the name, the store's document.
const BY_USERNAME: usize = 3;

/// Calls of a first look-up by the owner's id, from which a pointer leads to the account.
const BY_USER_ID: usize = 4;

/// Creates a user with a store that is open to all by its name, and one that is the user's alone.
async fn scene(larder: &Larder) -> (String, String) {
    let alice = larder.user("alice").await;
    for name in ["open", "closed"] {
        let made = larder.post(format!("{STORES}?name={name}")).token(&alice).await.answers(201);
        Store::new(larder, made.text("id")).put_text("k", "flour").await;
        if name == "open" {
            Store::new(larder, made.text("id")).open_to("ANYONE_WITH_NAME_CAN_READ").await;
        }
    }
    let id = larder.get("/v2/users/me").token(&alice).await.answers(200).text("id");
    (alice, id)
}

/// Returns the paths of existing and of absent stores, and the calls that a first look-up takes.
fn paths(alice: &str) -> Vec<(String, usize)> {
    let by_username = ["alice~open", "Alice~Closed", "alice~closed", "alice~absent", "unknown~closed", "ADMIN~absent"];
    let by_id = ["open", "closed", "absent"].map(|name| format!("{alice}~{name}"));
    let by_username = by_username.map(|path| (path.to_owned(), BY_USERNAME));
    let by_id = by_id.into_iter().chain(["WkzbQMuFYuamGv3YF~closed".to_owned()]).map(|path| (path, BY_USER_ID));
    by_username.into_iter().chain(by_id).collect()
}

contract_test!(a_name_costs_others_the_same_calls_whether_or_not_it_is_taken, async |larder: Larder| {
    let (alice, alices_id) = scene(&larder).await;
    let guest = larder.user("guest").await;
    for (path, reads) in paths(&alices_id) {
        for behind in ["", "/keys", "/records/absent"] {
            for (token, who) in [(None, "a caller without a token"), (Some(&guest), "another user")] {
                // On one gateway nothing is known of the store, on the other the owner has just used it.
                for is_warm in [false, true] {
                    let gateway = larder.restarted().await;
                    gateway.get("/v2/users/me").token(&guest).await.answers(200);
                    if is_warm {
                        for name in ["open", "closed"] {
                            gateway.get(format!("{STORES}/~{name}/records/k")).token(&alice).await.answers(200);
                        }
                    }
                    let look_up = async || {
                        let get = gateway.get(format!("{STORES}/{path}{behind}"));
                        match token {
                            None => get.anonymous().await,
                            Some(token) => get.token(token).await,
                        };
                    };
                    // To read the contents of a store costs a call of its own, where the caller may see it.
                    let own = usize::from(path.contains("open") && !behind.is_empty());
                    let what = format!("{who}: {path}{behind}, warm: {is_warm}");
                    assert_eq!(gateway.calls(look_up).await.total(), reads + own, "{what}");
                    assert_eq!(gateway.calls(look_up).await.total(), own, "{what}, again");
                    gateway.advance(CacheOptions::SHARED_STALENESS);
                    assert_eq!(gateway.calls(look_up).await.total(), reads + own, "{what}, later");
                }
            }
        }
    }
});

contract_test!(what_others_may_not_see_by_its_name_is_answered_like_what_is_not_there, async |larder: Larder| {
    let (_, alices_id) = scene(&larder).await;
    let guest = larder.user("guest").await;
    for behind in ["", "/keys", "/records", "/records/k", "/records/k?signature=0.0.x"] {
        for token in [None, Some(&guest)] {
            for (path, _) in paths(&alices_id).into_iter().filter(|(path, _)| !path.contains("open")) {
                let get = larder.get(format!("{STORES}/{path}{behind}"));
                let answer = match token {
                    None => get.anonymous().await,
                    Some(token) => get.token(token).await,
                };
                assert_eq!(answer.fails(404, "record-not-found"), "Key-value Store was not found", "{path}{behind}");
            }
        }
    }
});

contract_test!(a_text_that_can_be_no_name_costs_others_nothing, async |larder: Larder| {
    scene(&larder).await;
    for path in ["alice~-", "unknown~-", "a~closed", "a%20b~closed"] {
        let look_up = async || larder.get(format!("{STORES}/{path}")).anonymous().await.answers(404);
        assert_eq!(larder.calls(look_up).await, Calls::NONE, "{path}");
    }
});

contract_test!(owners_find_their_stores_by_name_as_cheaply_as_without_others, async |larder: Larder| {
    let (alice, _) = scene(&larder).await;
    for path in ["~closed", "alice~closed", "ALICE~closed"] {
        let fresh = larder.restarted().await;
        fresh.get("/v2/users/me").token(&alice).await.answers(200);
        let look_up = async || fresh.get(format!("{STORES}/{path}")).token(&alice).await.answers(200);
        assert_eq!(fresh.calls(look_up).await, Calls { get: 2, ..Calls::NONE }, "{path}");
        fresh.advance(CacheOptions::SHARED_STALENESS);
        assert_eq!(fresh.calls(look_up).await, Calls::NONE, "{path}, again");
    }
});

/// Checks that a name others asked for in vain is found as soon as the gateway that creates it has acknowledged it.
async fn found_at_once(larder: &Larder) {
    let (guest, other) = (larder.user("guest").await, larder.user("other").await);
    let ask = async |path: &str| larder.get(format!("{STORES}/{path}")).token(&guest).await;
    for path in ["alice~made", "alice~renamed", "other~made"] {
        ask(path).await.answers(404);
    }
    let alice = larder.user("alice").await;
    for (owner, token) in [("alice", &alice), ("other", &other)] {
        ask(&format!("{owner}~made")).await.answers(404);
        let made = larder.post(format!("{STORES}?name=made")).token(token).await.answers(201);
        let store = Store::new(larder, made.text("id"));
        ask(&format!("{owner}~made")).await.answers(404);
        store.share("guest", "read").await;
        ask(&format!("{owner}~made")).await.answers(200);
        ask(&format!("{owner}~renamed")).await.answers(404);
        larder.put(store.path("")).token(token).json(&json!({ "name": "renamed" })).await.answers(200);
        ask(&format!("{owner}~renamed")).await.answers(200);
        ask(&format!("{owner}~made")).await.answers(404);
        let again = larder.post(format!("{STORES}?name=made")).token(token).await.answers(201);
        Store::new(larder, again.text("id")).open_to("ANYONE_WITH_NAME_CAN_READ").await;
        assert_eq!(ask(&format!("{owner}~made")).await.text("id"), again.text("id"));
        store.open_to("ANYONE_WITH_NAME_CAN_READ").await;
        let take = format!("/larder/v1/stores/{}/access/guest", store.id);
        larder.delete(take).await.answers(200);
        ask(&format!("{owner}~renamed")).await.answers(200);
        store.open_to("RESTRICTED").await;
        ask(&format!("{owner}~renamed")).await.answers(404);
        larder.delete(store.path("")).token(token).await.answers(204);
        ask(&format!("{owner}~renamed")).await.answers(404);
        larder.post(format!("{STORES}?name=renamed")).token(token).await.answers(201);
        ask(&format!("{owner}~renamed")).await.answers(404);
    }
}

contract_test!(what_others_asked_for_in_vain_is_found_once_it_is_there, async |larder: Larder| {
    found_at_once(&larder).await;
});

contract_test!(what_others_asked_for_in_vain_is_found_once_the_leader_has_made_it, async |larder: Larder| {
    let (_, other) = leader_and_another(&larder).await;
    found_at_once(&other).await;
});

contract_test!(what_one_gateway_names_others_tell_others_of_within_the_bound, async |larder: Larder| {
    let (leader, other) = leader_and_another(&larder).await;
    other.get(format!("{STORES}/admin~shop")).anonymous().await.answers(404);
    let store = leader.named_store("shop").await;
    store.open_to("ANYONE_WITH_NAME_CAN_READ").await;
    other.advance(CacheOptions::SHARED_STALENESS);
    other.get(format!("{STORES}/admin~shop")).anonymous().await.answers(200);
});
