//! Every route times every kind of caller, openness and signature, against a table that is written by hand
//! (`access_table.txt`).

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use larder::{
    auth::{Token, signature},
    clock::{SeededRandom, Timestamp},
};
use serde_json::json;

use crate::{
    harness::{Connection, Larder, STORES, Store, TOKEN},
    leader::leader_and_another,
};

const TABLE: &str = include_str!("access_table.txt");

/// Source files that name the calls of the API, and the enumerations there that name them.
const CALLS: [(&str, &[&str]); 2] = [
    (include_str!("../../src/api/routing/route.rs"), &["Endpoint", "AccountCall"]),
    (include_str!("../../src/api/routing/routes.rs"), &["StoreCall", "RunsCall", "RunCall"]),
];

/// Variants that are no call, but hold one.
const HOLDERS: [&str; 4] = ["Store", "Account", "Runs", "Run"];

/// The callers, in the order of the table's columns.
const CALLERS: [&str; 10] =
    ["anonymous", "wrong", "expired", "revoked", "stranger", "reads", "writes", "elsewhere", "owner", "admin"];

/// Access settings of the store and of its owner's account, and the rules of the table for them.
const OPENNESS: [(&str, &str, &str); 5] = [
    ("RESTRICTED", "ANYONE_WITH_ID_CAN_READ", "restricted"),
    ("FOLLOW_USER_SETTING", "RESTRICTED", "restricted"),
    ("ANYONE_WITH_ID_CAN_READ", "RESTRICTED", "open by id"),
    ("FOLLOW_USER_SETTING", "ANYONE_WITH_ID_CAN_READ", "open by id"),
    ("ANYONE_WITH_NAME_CAN_READ", "RESTRICTED", "open by name"),
];

/// The ways to say which store is meant.
const ADDRESSES: [&str; 3] = ["id", "name", "own"];

/// Timeout for a response to a request that has not ended.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// A line of the first part of the table.
#[derive(Debug)]
struct Route {
    call: &'static str,
    method: &'static str,
    path: &'static str,
    right: &'static str,
    status: u16,
}

/// A line of the second part.
#[derive(Debug)]
struct Rule {
    section: &'static str,
    right: &'static str,
    address: &'static str,
    cells: Vec<&'static str>,
}

fn table() -> (Vec<Route>, Vec<Rule>) {
    let (mut routes, mut rules, mut section) = (Vec::new(), Vec::new(), "routes");
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["routes" | "rules", ..] => section = line,
            [call, method, path, right, status] if section == "routes" => {
                let status = status.parse().expect("a status");
                routes.push(Route { call, method, path, right, status });
            }
            [right, address, ref cells @ ..] => {
                assert_eq!(cells.len(), CALLERS.len(), "{line}");
                rules.push(Rule { section, right, address, cells: cells.to_vec() });
            }
            _ => panic!("{line:?} is no line of the table"),
        }
    }
    (routes, rules)
}

/// Returns what the table says of a call: the status of the route where it is allowed, `None` where it is not asked.
fn expected(rules: &[Rule], section: &str, route: &Route, address: &str, caller: usize) -> Option<u16> {
    let is_meant = |rule: &&Rule| {
        (rule.section == "rules" || rule.section.strip_prefix("rules ").is_some_and(|of| of.starts_with(section)))
            && rule.right == route.right
            && (rule.address == address || rule.address == "any")
    };
    let [rule] = rules.iter().filter(is_meant).collect::<Vec<_>>()[..] else {
        panic!("not one rule says of {} by {address} in {section}", route.right)
    };
    match rule.cells[caller] {
        "." => Some(route.status),
        "-" => None,
        status => Some(status.parse().expect("a status")),
    }
}

/// The tokens of all callers, and the stores of the requests.
struct Scene {
    larder: Larder,
    tokens: Vec<Option<String>>,
    store: Store,
    other: Store,
    /// A run of hers, with the same access as the store.
    run: String,
    secret: String,
}

async fn scene(larder: &Larder) -> Scene {
    let owner = larder.user("alice").await;
    let stranger = larder.user("guest").await;
    let made = async |name: &str| {
        let made = larder.post(format!("{STORES}?name={name}")).token(&owner).await.answers(201);
        Store::new(larder, made.text("id"))
    };
    let (store, other) = (made("shop").await, made("cellar").await);
    let run = larder.post("/v2/acts/baker/runs").token(&owner).await.answers(201).text("id");
    let limited = async |store: &Store, right: &str| {
        larder.token_of("alice", &json!({ "stores": [{ "id": store.id, "right": right }] })).await
    };
    let (reads, writes, elsewhere) =
        (limited(&store, "read").await, limited(&store, "write").await, limited(&other, "write").await);
    let end = larder.clock().now().plus(Duration::from_mins(1));
    let body = json!({ "username": "alice", "expiresAt": end });
    let expired = larder.post("/larder/v1/tokens").json(&body).await.answers(201).text("token");
    larder.advance(Duration::from_secs(61));
    let revoked = larder.post("/larder/v1/tokens").json(&json!({ "username": "alice" })).await.answers(201);
    larder.delete(format!("/larder/v1/tokens/{}?username=alice", revoked.text("id"))).await.answers(204);
    let wrong = Token::generate(&SeededRandom::new(0)).reveal().to_owned();
    let tokens =
        [None, Some(wrong), Some(expired), Some(revoked.text("token")), Some(stranger), Some(reads), Some(writes)];
    let tokens = tokens.into_iter().chain([Some(elsewhere), Some(owner), Some(TOKEN.to_owned())]).collect();
    let secret = String::new();
    let scene = Scene { larder: larder.clone(), tokens, store, other, run, secret };
    scene.restored().await
}

impl Scene {
    /// The same with a record, and with the secret that signs links now.
    async fn restored(mut self) -> Self {
        self.store.put_text("k", "flour").await;
        let object = self.store.object().await;
        object["urlSigningSecretKey"].as_str().expect("the admin may write").clone_into(&mut self.secret);
        self
    }

    /// Signatures by what they are; only the first is right.
    fn signatures(&self, right: &str) -> Vec<(&'static str, String)> {
        let (id, other) = (self.store.id.parse().expect("an id"), self.other.id.parse().expect("an id"));
        let (key, another) = ("k".parse().expect("a key"), "j".parse().expect("a key"));
        let past = Timestamp::from_millis(self.larder.clock().now().as_millis() - 1);
        let of_record = |secret: &str, key| signature::sign_record(secret, &id, key).expect("it is not reserved");
        let (record, keys) = (of_record(&self.secret, &key), signature::sign_keys(&self.secret, &id, None));
        let other_digit = |digit: &str| if digit == "0" { "1" } else { "0" };
        let tampered = |text: &str| [&text[..3], other_digit(&text[3..4]), &text[4..]].concat();
        if right == "record" {
            vec![
                ("right", record.clone()),
                ("tampered", tampered(&record)),
                ("of another record", of_record(&self.secret, &another)),
                ("of another store", of_record("another secret", &key)),
                ("of another kind", keys),
            ]
        } else {
            vec![
                ("right", keys.clone()),
                ("tampered", tampered(&keys)),
                ("expired", signature::sign_keys(&self.secret, &id, Some(past))),
                ("of another store", signature::sign_keys(&self.secret, &other, None)),
                ("of another kind", record),
            ]
        }
    }

    async fn open(&self, general_access: &str, account: &str) {
        let account = json!({ "generalAccess": account });
        self.larder.put("/larder/v1/users/alice").json(&account).await.answers(200);
        self.store.open_to(general_access).await;
        let run = self.larder.put(format!("/v2/actor-runs/{}", self.run));
        run.json(&json!({ "generalAccess": general_access })).await.answers(200);
    }

    fn addressed(store: &Store, name: &str, address: &str) -> String {
        match address {
            "id" => store.id.clone(),
            "name" => format!("alice~{name}"),
            _ => format!("~{name}"),
        }
    }

    /// Returns the path of a route; of a store that is made for it, if it is about to go.
    async fn path(&self, route: &Route, address: &str, is_victim_needed: bool) -> String {
        let shop = Self::addressed(&self.store, "shop", address);
        let mut path = route
            .path
            .replace("{store}", &format!("{STORES}/{shop}"))
            .replace("{address}", &shop)
            .replace("{run}", &self.run);
        if path.contains("{victim}") && is_victim_needed {
            let owner = self.tokens[CALLERS.len() - 2].as_deref().expect("she has a token");
            let victim =
                self.larder.post(format!("{STORES}?name=victim")).token(owner).await.answers_one_of(&[200, 201]);
            let victim = Store::new(&self.larder, victim.text("id"));
            path = path.replace("{victim}", &format!("{STORES}/{}", Self::addressed(&victim, "victim", address)));
        }
        path.replace("{victim}", &format!("{STORES}/{shop}"))
    }

    /// Sends the requests, and compares. The result has every response that differs from the table.
    async fn ask(
        &self,
        connection: &mut Connection,
        route: &Route,
        path: &str,
        caller: usize,
        wanted: u16,
    ) -> Option<String> {
        let mut request = self.larder.request(route.method, path);
        request = match &self.tokens[caller] {
            None => request.anonymous(),
            Some(token) => request.token(token),
        };
        let has_body = matches!(route.method, "PUT" | "POST");
        let request = if has_body { request.json(&json!({})) } else { request };
        let reply = request.send_on(connection).await;
        if has_body {
            // The server closes a connection whose request body was not read.
            *connection = self.larder.connect().await;
        }
        let who = CALLERS[caller];
        (reply.status != wanted).then(|| format!("{} {path} by {who}: {} and not {wanted}", route.method, reply.status))
    }
}

/// Returns `true` if a call would delete the store itself, which other calls still need.
fn would_delete(route: &Route, wanted: u16) -> bool {
    route.call == "Delete" && wanted == route.status
}

async fn hold_all(scene: &Scene, section: &str) -> Vec<String> {
    let (routes, rules) = table();
    let columns = (0..CALLERS.len()).map(async |caller| {
        let mut connection = scene.larder.connect().await;
        let mut wrong = Vec::new();
        for route in routes.iter().filter(|route| route.call != "Delete" && route.call != "RotateSigningKey") {
            let is_linked = matches!(route.right, "content" | "record");
            for address in ADDRESSES {
                let Some(wanted) = expected(&rules, section, route, address, caller) else { continue };
                let path = scene.path(route, address, false).await;
                wrong.extend(scene.ask(&mut connection, route, &path, caller, wanted).await);
                let signatures = if is_linked || address == "id" { scene.signatures(route.right) } else { Vec::new() };
                for (kind, signature) in signatures {
                    let is_right = is_linked && kind == "right";
                    let section = if is_right { "signed" } else { section };
                    let Some(wanted) = expected(&rules, section, route, address, caller) else { continue };
                    let mark = if path.contains('?') { '&' } else { '?' };
                    let path = format!("{path}{mark}signature={signature}");
                    let found = scene.ask(&mut connection, route, &path, caller, wanted).await;
                    wrong.extend(found.map(|found| format!("{kind} signature: {found}")));
                }
                if matches!(route.method, "PUT" | "POST" | "DELETE") {
                    let named = Route { method: "GET", ..*route };
                    let mark = if path.contains('?') { '&' } else { '?' };
                    let path = format!("{path}{mark}method={}", route.method);
                    wrong.extend(scene.ask(&mut connection, &named, &path, caller, wanted).await);
                }
            }
        }
        wrong
    });
    join_all(columns).await.into_iter().flatten().collect()
}

/// Checks the destructive calls last, and one after the other: the others need what they destroy.
async fn hold_destruction(scene: &Scene, section: &str) -> Vec<String> {
    let (routes, rules) = table();
    let mut wrong = Vec::new();
    let mut connection = scene.larder.connect().await;
    for route in routes.iter().filter(|route| matches!(route.call, "Delete" | "RotateSigningKey")) {
        for (caller, address) in (0..CALLERS.len()).flat_map(|caller| ADDRESSES.map(|address| (caller, address))) {
            let Some(wanted) = expected(&rules, section, route, address, caller) else { continue };
            // A token for the shop alone is none for the store that is made to be deleted.
            if would_delete(route, wanted) && CALLERS[caller] == "writes" {
                continue;
            }
            let path = scene.path(route, address, would_delete(route, wanted)).await;
            wrong.extend(scene.ask(&mut connection, route, &path, caller, wanted).await);
        }
    }
    wrong
}

contract_test!(no_answer_differs_from_the_table, async |larder: Larder| {
    let mut scene = scene(&larder).await;
    let mut wrong = Vec::new();
    for (general_access, account, section) in OPENNESS {
        scene.open(general_access, account).await;
        let found = hold_all(&scene, section).await;
        wrong.extend(found.into_iter().map(|found| format!("{general_access} ({account}): {found}")));
        let found = hold_destruction(&scene, section).await;
        wrong.extend(found.into_iter().map(|found| format!("{general_access} ({account}): {found}")));
        scene = scene.restored().await;
    }
    assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
});

/// Sends requests with the head of a body that never ends. The result has every response that does not come meanwhile,
/// or that differs from the table.
async fn ask_with_endless_body(gateway: &Larder, route: &Route, path: &str, wanted: u16) -> Option<String> {
    let mut connection = gateway.connect().await;
    let head = format!(
        "{} {path} HTTP/1.1\r\nHost: larder\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\na\r\n{{",
        route.method
    );
    connection.write(head.as_bytes()).await.expect("the head is taken");
    let answered = tokio::time::timeout(WAIT_TIMEOUT, connection.read_head()).await;
    let found = match answered {
        Ok(Ok(head)) if head.status == wanted => return None,
        Ok(Ok(head)) => head.status.to_string(),
        Ok(Err(_)) | Err(_) => "no answer".to_owned(),
    };
    Some(format!("{} {path}: {found} and not {wanted}", route.method))
}

contract_test!(no_route_reads_the_body_of_a_caller_who_was_not_admitted, async |larder: Larder| {
    let scene = scene(&larder).await;
    scene.open("RESTRICTED", "RESTRICTED").await;
    let (routes, rules) = table();
    let asked = routes.iter().map(async |route| {
        let path = scene.path(route, "id", false).await;
        let wanted = expected(&rules, "restricted", route, "id", 0)?;
        ask_with_endless_body(&larder, route, &path, wanted).await
    });
    let late: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
    assert!(late.is_empty(), "{}", late.join("\n"));
});

contract_test!(a_follower_passes_a_body_on_before_it_has_ended, async |larder: Larder| {
    let (leader, follower) = leader_and_another(&larder).await;
    let scene = scene(&leader).await;
    let (routes, rules) = table();
    let asked = routes.iter().map(async |route| {
        let path = scene.path(route, "id", false).await;
        let wanted = expected(&rules, "restricted", route, "id", 0)?;
        ask_with_endless_body(&follower, route, &path, wanted).await
    });
    let late: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
    assert!(late.is_empty(), "{}", late.join("\n"));
});

contract_test!(larders_own_calls_take_64_kib_of_json, async |larder: Larder| {
    let store = larder.named_store("shop").await;
    store.open_to("ANYONE_WITH_ID_CAN_READ").await;
    let link = format!("/larder/v1/stores/{}/view-link", store.id);
    let body = |length: usize| json!({ "key": "a", "more": "x".repeat(length) });
    larder.post(&link).json(&body(60_000)).anonymous().await.answers(201);
    larder.post(&link).json(&body(70_000)).anonymous().await.fails(413, "request-too-large");
    larder.post("/larder/v1/tokens").json(&body(70_000)).await.fails(413, "request-too-large");
    larder.post(STORES).json(&body(70_000)).await.answers(201);
});

contract_test!(a_token_for_one_store_may_delete_it, async |larder: Larder| {
    let scene = scene(&larder).await;
    let writes = scene.tokens[6].as_deref().expect("it is a token");
    scene.store.delete("").token(writes).await.answers(204);
});

#[test]
fn the_table_has_every_call_and_none_besides() {
    let named: BTreeSet<&str> = table().0.iter().map(|route| route.call).collect();
    let mut calls = BTreeSet::new();
    for (source, enumerations) in CALLS {
        for enumeration in enumerations {
            let begin = source.find(&format!("pub enum {enumeration} {{")).expect("it is there");
            let end = begin + source[begin..].find("\n}").expect("it ends");
            let lines = source[begin..end].lines().skip(1).map(str::trim);
            let variants = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
            calls.extend(variants.map(|line| line.split(['(', ',']).next().unwrap_or_default()));
        }
    }
    for holder in HOLDERS {
        assert!(calls.remove(holder), "{holder}");
    }
    assert_eq!(named, calls);
}
