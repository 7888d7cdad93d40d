//! Runs beside a clock that is wrong.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Larder, Run};

const BAKER: &str = "/v2/acts/baker/runs";

contract_test!(a_clock_that_is_wrong_for_an_hour_ends_no_run_and_no_token, async |larder: Larder| {
    for days in [10, -10] {
        let limited = Run::start(&larder, &format!("{BAKER}?timeout=86400")).await;
        let (token, _) = limited.enter(json!({})).await;
        let silent = Run::start(&larder, BAKER).await;
        let used = Run::start(&larder, BAKER).await;
        larder.set_wrong_by_days(days);
        let wrong = Run::start(&larder, &format!("{BAKER}?timeout=86400")).await;
        for _ in 0..4 {
            larder.run_upkeep().await;
            larder.post(wrong.own("heartbeat")).await.answers(200);
            larder.post(limited.own("heartbeat")).await.answers(200);
            larder.get(used.store.path("/records/INPUT")).await;
            larder.advance(Duration::from_mins(14));
        }
        larder.run_upkeep().await;
        larder.set_wrong_by_days(0);
        for _ in 0..12 {
            larder.run_upkeep().await;
            for beating in [&wrong, &limited, &silent] {
                larder.post(beating.own("heartbeat")).await.answers(200);
            }
            used.store.put_text("OUTPUT", "bread").await;
            larder.advance(Duration::from_mins(25));
        }
        larder.run_upkeep().await;
        for run in [&limited, &silent, &wrong] {
            assert_eq!(run.object().await["status"], "RUNNING", "{days} days");
        }
        assert_eq!(used.object().await["status"], "RUNNING", "{days} days");
        limited.store.get("/records/INPUT").token(&token).await.answers(200);
        // Due items are done within two days all the same.
        for _ in 0..48 {
            larder.advance(Duration::from_hours(1));
            larder.run_upkeep().await;
        }
        for run in [&limited, &silent, &wrong, &used] {
            assert_eq!(run.object().await["status"], "TIMED-OUT", "{days} days");
        }
        limited.store.get("/records/INPUT").token(&token).await.fails(401, "user-or-token-not-found");
    }
});
