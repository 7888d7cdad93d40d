//! The clock, for the admin: whether deletions are suspended, and the confirmation of the time.

use std::time::Duration;

use crate::harness::Larder;

const CLOCK: &str = "/larder/v1/clock";
const ACCEPT: &str = "/larder/v1/clock/accept";

contract_test!(
    an_admin_sees_that_deletions_are_suspended_and_ends_it_by_confirming_the_time,
    async |larder: Larder| {
        let trusted = larder.get(CLOCK).await.answers(200);
        assert!(trusted.data()["deletionSuspended"].is_null());
        larder.set_wrong_by_days(8);
        let suspended = larder.get(CLOCK).await.answers(200);
        let reason = suspended.data()["deletionSuspended"]["reason"].as_str().expect("a reason").to_owned();
        assert!(reason.contains("jumped forward by 691"), "{reason}");
        larder.set_wrong_by_days(0);
        larder.advance(Duration::from_hours(23));
        assert!(!larder.get(CLOCK).await.answers(200).data()["deletionSuspended"].is_null());
        let accepted = larder.post(ACCEPT).await.answers(200);
        assert!(accepted.data()["deletionSuspended"].is_null());
        assert!(larder.get(CLOCK).await.answers(200).data()["deletionSuspended"].is_null());
        larder.request("DELETE", CLOCK).await.fails(405, "method-not-allowed");
        larder.get(ACCEPT).await.fails(405, "method-not-allowed");
    }
);
