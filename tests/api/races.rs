//! Many at once: one store for a name, one winner of a condition, whole values.

use futures_util::future::join_all;

use crate::harness::{Larder, STORES, TOKEN};

/// Requests that are under way at the same time.
const RACERS: usize = 20;

contract_test!(case_040_twenty_that_ask_for_one_name_get_one_store, async |larder: Larder| {
    for name in ["shop", "cellar", "pantry"] {
        let target = format!("{STORES}?name={name}");
        let replies = join_all((0..RACERS).map(|_| larder.post(&target).into_future())).await;
        let made = replies.iter().filter(|reply| reply.status == 201).count();
        let mut ids: Vec<String> =
            replies.into_iter().map(|reply| reply.answers_one_of(&[200, 201]).text("id")).collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "POST {target} by {RACERS} at once gave several stores: {ids:?}");
        assert_eq!(made, 1, "POST {target} by {RACERS} at once: so many were told that it is new");
        assert_eq!(larder.get(format!("{STORES}/~{name}")).await.text("id"), ids[0]);
    }
    assert_eq!(larder.get(format!("{STORES}?unnamed=1")).await.data()["total"], 3, "losers left stores behind");
});

contract_test!(twenty_gateways_that_ask_for_one_name_get_one_store, async |larder: Larder| {
    let mut gateways = Vec::new();
    for _ in 0..RACERS {
        gateways.push(larder.restarted().await);
    }
    let target = format!("{STORES}?name=shop");
    let replies = join_all(gateways.iter().map(|gateway| gateway.post(&target).into_future())).await;
    let made = replies.iter().filter(|reply| reply.status == 201).count();
    let mut ids: Vec<String> = replies.into_iter().map(|reply| reply.answers_one_of(&[200, 201]).text("id")).collect();
    ids.dedup();
    assert_eq!((ids.len(), made), (1, 1), "{ids:?}");
});

contract_test!(of_twenty_that_write_only_what_is_absent_one_wins, async |larder: Larder| {
    let store = larder.new_store().await;
    let writes = (0..RACERS).map(|racer| {
        let put = store.put("/records/a").field("If-None-Match", "*");
        put.body(format!("racer {racer}")).into_future()
    });
    let replies = join_all(writes).await;
    let winners: Vec<usize> = (0..RACERS).filter(|racer| replies[*racer].status == 201).collect();
    assert_eq!(winners.len(), 1, "so many wrote: {winners:?}");
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        reply.fails(412, "precondition-failed");
    }
    store.record("a").await.holds(format!("racer {}", winners[0]).as_bytes());
});

contract_test!(of_twenty_that_replace_what_they_read_one_wins, async |larder: Larder| {
    let store = larder.new_store().await;
    store.put_text("a", "start").await;
    let etag = store.record("a").await.expect_field("etag").to_owned();
    let writes = (0..RACERS).map(|racer| {
        let put = store.put("/records/a").field("If-Match", &etag);
        put.body(format!("racer {racer}")).into_future()
    });
    let replies = join_all(writes).await;
    let winners: Vec<usize> = (0..RACERS).filter(|racer| replies[*racer].status == 201).collect();
    assert_eq!(winners.len(), 1, "so many wrote: {winners:?}");
    store.record("a").await.holds(format!("racer {}", winners[0]).as_bytes());
});

contract_test!(a_reader_among_writers_sees_whole_values, async |larder: Larder| {
    let store = larder.new_store().await;
    // Large enough for a backend to write it in pieces.
    let value = |letter: u8| vec![letter; 100_000 + usize::from(letter)];
    store.put_bytes("a", "text/plain", value(b'a')).await;
    let writes = (b'b'..b'b' + 10).map(|letter| store.put("/records/a").body(value(letter)).into_future());
    let reads = (0..RACERS).map(|_| store.get("/records/a").into_future());
    let (written, read) = tokio::join!(join_all(writes), join_all(reads));
    for reply in written {
        reply.answers(201);
    }
    for reply in read {
        let reply = reply.answers(200);
        let letter = reply.body[0];
        assert!(reply.body == value(letter), "{reply} is no value that was written");
    }
});

contract_test!(a_reader_who_has_begun_reads_the_old_value_to_its_end, async |larder: Larder| {
    let store = larder.new_store().await;
    let old: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let path = store.path("/records/a");
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    for is_deleted in [false, true] {
        store.put_bytes("a", "text/plain", old.clone()).await;
        let mut connection = larder.connect().await;
        connection.write(head.as_bytes()).await.expect("the request is taken");
        let answer = connection.read_head().await.expect("the request is answered");
        assert_eq!(answer.status, 200, "GET {path}");
        if is_deleted {
            store.delete("/records/a").await.answers(204);
        } else {
            store.put_text("a", "new").await;
        }
        let came = connection.read_exactly(old.len()).await.expect("the old value comes whole");
        assert!(came == old, "GET {path} of a value that was replaced meanwhile");
    }
});

contract_test!(of_twenty_that_rename_to_one_name_one_wins, async |larder: Larder| {
    let mut stores = Vec::new();
    for index in 0..RACERS {
        stores.push(larder.named_store(&format!("store-{index}")).await);
    }
    let body = serde_json::json!({ "name": "wanted" });
    let replies = join_all(stores.iter().map(|store| store.put("").json(&body).into_future())).await;
    let winners: Vec<usize> = (0..RACERS).filter(|racer| replies[*racer].status == 200).collect();
    assert_eq!(winners.len(), 1, "so many were renamed: {winners:?}");
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        reply.fails(409, "name-not-unique");
    }
    assert_eq!(larder.get(format!("{STORES}/~wanted")).await.text("id"), stores[winners[0]].id);
    for index in (0..RACERS).filter(|index| *index != winners[0]) {
        assert_eq!(larder.get(format!("{STORES}/~store-{index}")).await.text("id"), stores[index].id);
    }
});
