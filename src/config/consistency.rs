//! Contradictions between settings that may each be valid by themselves.
//!
//! Checks that depend on the backend (whether a leader is needed, say) follow when that is known, in the module
//! `gateway`.

use std::collections::BTreeSet;

use super::tree::{Config, LeaderSetting};

/// Settings of which each has no effect without the other.
const PAIRS: [(&str, &str); 2] = [("tls_cert", "tls_key"), ("upstream_url", "upstream_token")];

/// Settings with no effect without another one; the other one does not need them.
const NEEDS: [(&str, &str, &str); 2] = [
    ("user_token", "user", "is set, but not whose it is: set LARDER_USER too"),
    ("otlp_headers", "otlp_endpoint", "is set, but no collector to send it to: set LARDER_OTLP_ENDPOINT too"),
];

/// Calls `complain` with each setting that contradicts another one, and the reason. `given` has the settings that were
/// set, also to an invalid value.
pub(super) fn contradictions(config: &Config, given: &BTreeSet<&str>, complain: &mut dyn FnMut(&'static str, String)) {
    let is_given = |name: &str| given.contains(name);
    let variable = |name: &str| format!("LARDER_{}", name.to_ascii_uppercase());
    for (one, other) in PAIRS {
        for (set, missing) in [(one, other), (other, one)] {
            if is_given(set) && !is_given(missing) {
                let (one, other, missing) = (variable(one), variable(other), variable(missing));
                complain(set, format!("is set without {missing}: {one} and {other} must be set both, or neither"));
            }
        }
    }
    for (name, needed, reason) in NEEDS {
        if is_given(name) && !is_given(needed) {
            complain(name, reason.to_owned());
        }
    }
    #[cfg(feature = "s3")]
    without_bucket(config, given, complain);
    same_secrets(config, complain);
    gateways(config, complain);
    if config.server.max_client_connections.is_some_and(|most| most > config.server.max_connections) {
        let most = config.server.max_connections;
        complain(
            "max_client_connections",
            format!("is more than LARDER_MAX_CONNECTIONS, {most}: lower it, or raise that"),
        );
    }
}

/// Checks settings of an object store without a bucket: the data folder would be served.
#[cfg(feature = "s3")]
fn without_bucket(config: &Config, given: &BTreeSet<&str>, complain: &mut dyn FnMut(&'static str, String)) {
    if given.contains("s3_bucket") {
        return;
    }
    let defaults = Config::default();
    for setting in super::s3_settings::SETTINGS {
        // The output of `larder check` names every default, and is a valid file.
        if given.contains(setting.name) && setting.show(config) != setting.show(&defaults) {
            complain(
                setting.name,
                "has no effect without LARDER_S3_BUCKET: set the bucket, or leave this out".to_owned(),
            );
        }
    }
}

/// Checks that the token for the metrics alone is not a token with other rights.
fn same_secrets(config: &Config, complain: &mut dyn FnMut(&'static str, String)) {
    let Some(metrics) = &config.metrics_token else { return };
    for (name, other) in [("LARDER_TOKEN", &config.token), ("LARDER_USER_TOKEN", &config.user_token)] {
        if other.as_ref().is_some_and(|other| other == metrics) {
            complain("metrics_token", format!("has the same value as {name}: give figures a token of their own"));
        }
    }
}

/// Checks that no two settings contradict each other about the gateways, and that calls are not sent in a circle.
fn gateways(config: &Config, complain: &mut dyn FnMut(&'static str, String)) {
    let own = config.server.listen;
    let is_own = |(host, port): (&str, u16)| host.parse() == Ok(own.ip()) && port == own.port();
    if let Some(LeaderSetting::At(address)) = &config.leader {
        if is_own(address.target()) {
            complain("leader", "names this gateway itself: write self on the leader".to_owned());
        } else if !config.has_bucket() {
            let reason =
                "names another gateway, but a data folder belongs to this one alone: leave it out, or set a bucket";
            complain("leader", reason.to_owned());
        } else if config.is_sole_gateway {
            let reason =
                "names another gateway, and LARDER_SOLE_GATEWAY says that there is none: leave one of them out";
            complain("leader", reason.to_owned());
        }
    }
    if config.upstream.address.as_ref().is_some_and(|address| is_own(address.target())) {
        complain(
            "upstream_url",
            "names this gateway itself: name the server that has datasets and request queues".to_owned(),
        );
    }
    let is_cached = config.record_cache_bytes.is_some_and(|bytes| bytes > 0);
    if is_cached && config.has_bucket() && !config.is_sole_gateway {
        let reason = "is set, but another gateway may write to the bucket, so that what is in memory may be outdated: set \
                      LARDER_SOLE_GATEWAY to yes if there is none, or leave the cache out";
        complain("record_cache_size", reason.to_owned());
    }
}
