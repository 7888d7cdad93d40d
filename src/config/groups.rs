//! Groups of settings, each with an example, and the example file generated from them.
//!
//! The declaration of a setting describes it; this module adds what documents need. A test checks that every setting is
//! in one group.

use std::fmt::Write as _;

use super::{options::Config, setting::Setting, settings::settings};

/// Maximum length of comment lines.
const MAX_LINE_LENGTH: usize = 100;

/// Opening of the example file.
const OPENING: &str = "All settings of Larder. Save this file as larder.toml in the working folder of Larder, or name it with \
                       --config or LARDER_CONFIG. To change a setting, remove the # before it. Each setting is also an \
                       environment variable, which overrides this file, and, unless it is a secret, a flag, which \
                       overrides both. `larder check` prints the effective values.";

/// Group of related settings.
#[derive(Debug)]
pub(super) struct Group {
    /// Title of the group.
    pub(super) title: &'static str,
    /// Introduction, for the page that explains the settings.
    #[cfg_attr(not(test), expect(dead_code, reason = "the page is made by a test"))]
    pub(super) about: &'static str,
    /// Names with example values; the example of a secret is never shown.
    pub(super) settings: &'static [(&'static str, &'static str)],
}

/// All settings, in the order of the documents.
pub(super) static GROUPS: [Group; 14] = [
    Group {
        title: "Network and storage",
        about: "",
        settings: &[("listen", "0.0.0.0:8011"), ("public_url", "https://larder.example"), ("data", "/var/lib/larder")],
    },
    Group {
        title: "Tokens and users",
        about: "[Access rights](SECURITY_MODEL.md#who-may-do-what) describe the effect of each token. All gateways of one \
                object store need the same values. A token or secret has at least 16 characters, and is not published \
                in this documentation. If Larder listens on loopback only, a weak one is a warning and not an error. \
                `larder token generate` prints a strong one.",
        settings: &[
            ("token", "a-long-random-text"),
            ("secret", "another-long-random-text"),
            ("old_secret_fingerprint", "1f2e3d4c"),
            ("user", "baker"),
            ("user_token", "larder_0000000000000000000000000000002C8GjS"),
            ("metrics_token", "a-third-long-random-text"),
        ],
    },
    Group {
        title: "Stores and records",
        about: "See [how long stores live](GUARANTEES.md#how-long-stores-live).",
        settings: &[("retention_days", "30"), ("max_record_size", "100MiB")],
    },
    Group {
        title: "Request limits",
        about: "Excess requests get a 429, or a 503 if the gateway itself is overloaded \
                ([details](SECURITY_MODEL.md#limits)). Each gateway counts separately.",
        settings: &[
            ("max_client_rps", "1000"),
            ("max_store_rps", "60"),
            ("max_record_rps", "200"),
            ("max_requests", "512"),
            ("max_connections", "4096"),
            ("max_client_connections", "256"),
            ("max_header_size", "32KiB"),
        ],
    },
    Group {
        title: "HTTPS and load balancers",
        about: "See [certificate renewal and draining](OPERATIONS.md#certificates-reload-drain).",
        settings: &[
            ("tls_cert", "/etc/larder/tls/chain.pem"),
            ("tls_key", "/etc/larder/tls/key.pem"),
            ("trusted_proxies", "10.0.0.0/8"),
            ("drain_delay", "5s"),
        ],
    },
    Group {
        title: "Tracing and cost",
        about: "See [what is traced](TRACING.md) and [the cost of object calls](API.md#cost-of-object-calls).",
        settings: &[
            ("otlp_endpoint", "http://collector:4318"),
            ("otlp_headers", "x-api-key=a-fourth-long-random-text"),
            ("trace_ratio", "0.1"),
            ("prices", "a=0.005,b=0.0004,out=0.09,currency=USD"),
        ],
    },
    Group {
        title: "Connection timeouts",
        about: "",
        settings: &[
            ("header_timeout", "10s"),
            ("idle_timeout", "5m"),
            ("stall_timeout", "1m"),
            ("drain_timeout", "1m"),
        ],
    },
    Group {
        title: "Quotas",
        about: "Defaults for all users. The administrator can override them for a user with `larder user limit` \
                ([details](SECURITY_MODEL.md#limits)). Usage is counted in the background.",
        settings: &[
            ("max_user_stores", "10000"),
            ("max_user_records", "1000000"),
            ("max_user_size", "50GiB"),
            ("max_store_records", "100000"),
            ("max_store_size", "5GiB"),
            ("usage_recount_interval", "10m"),
        ],
    },
    Group {
        title: "Memory and caches",
        about: "",
        settings: &[
            ("cache_size", "128MiB"),
            ("record_cache_size", "256MiB"),
            ("exclusive_bucket", "yes"),
            ("request_memory", "256MiB"),
        ],
    },
    Group {
        title: "Multiple gateways",
        about: "Only for object stores without conditional writes; see [the roles of \
                gateways](CLUSTERING.md).",
        settings: &[("leader", "http://10.0.0.5:8011")],
    },
    Group {
        title: "Actor runs",
        about: "See [runs](API.md#actor-runs).",
        settings: &[("run_heartbeat_timeout", "10m"), ("run_retention_days", "30")],
    },
    Group {
        title: "Datasets and request queues",
        about: "Set both or neither; see [what is forwarded](API.md#datasets-and-request-queues).",
        settings: &[("upstream_url", "https://api.apify.com"), ("upstream_token", "the-token-there")],
    },
    Group {
        title: "Logging",
        about: "",
        settings: &[("log", "warn,larder=debug"), ("log_format", "json"), ("access_log", "json")],
    },
    Group {
        title: "Object store (S3)",
        about: "With a bucket, Larder stores everything there and nothing in the data folder. Credentials come from \
                the default AWS provider chain: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, a profile, or the \
                role of the machine. The chain also provides the endpoint and the region, unless they are set here, \
                and the choice of FIPS and dual-stack endpoints. Without `s3_bucket`, the other settings of this \
                group are errors. See [the tested object stores](BACKENDS.md) and their requirements.",
        settings: &[
            ("s3_bucket", "larder"),
            ("s3_endpoint", "http://minio:9000"),
            ("s3_prefix", "team-a"),
            ("s3_region", "eu-central-1"),
            ("s3_addressing", "host"),
            ("s3_ca_file", "/etc/ssl/our-authority.pem"),
            ("s3_sign_payload", "yes"),
            ("s3_content_md5", "yes"),
            ("s3_encryption", "AES256"),
            ("s3_storage_class", "STANDARD_IA"),
            ("s3_part_size", "64MiB"),
            ("s3_connect_timeout", "10s"),
            ("s3_response_timeout", "1m"),
            ("s3_stall_timeout", "1m"),
            ("s3_conditional_writes", "no"),
            ("s3_conditional_deletes", "no"),
            ("s3_quoted_etags", "no"),
        ],
    },
];

impl Group {
    /// Returns its settings, as far as this build has them, with their examples.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&'static Setting, &'static str)> {
        let found = |name: &str| settings().find(|setting| setting.name == name);
        self.settings.iter().filter_map(move |(name, example)| Some((found(name)?, *example)))
    }
}

/// Returns every setting with the title of its group, in the order of the documents.
pub fn grouped_settings() -> impl Iterator<Item = (&'static str, &'static Setting)> {
    GROUPS.iter().flat_map(|group| group.settings().map(|(setting, _)| (group.title, setting)))
}

/// Returns a configuration file that explains every setting and sets none.
pub fn example() -> String {
    let defaults = Config::default();
    let mut text = String::new();
    comment(&mut text, OPENING);
    for group in &GROUPS {
        let mut settings = group.settings().peekable();
        if settings.peek().is_none() {
            continue;
        }
        let _ = write!(text, "\n\n# ---- {} ----\n", group.title);
        for (setting, example) in settings {
            text.push('\n');
            comment(&mut text, &format!("{}.", setting.help));
            let (value, note) = match setting.show(&defaults) {
                Some(default) => (default, ""),
                None if setting.is_secret => (String::new(), "; secret"),
                None => (example.to_owned(), "; not set by default"),
            };
            let flag = setting.flag().map(|flag| format!(", --{flag}")).unwrap_or_default();
            comment(&mut text, &format!("{} ({}{flag}{note})", setting.value, setting.variable()));
            let _ = writeln!(text, "#{} = {}", setting.name, toml::Value::String(value));
        }
    }
    text
}

/// Appends a comment, wrapped to the line length.
fn comment(text: &mut String, words: &str) {
    let mut length = 0;
    for word in words.split(' ') {
        if length == 0 || length + 1 + word.len() > MAX_LINE_LENGTH {
            text.push_str(if length == 0 { "#" } else { "\n#" });
            length = 1;
        }
        text.push(' ');
        text.push_str(word);
        length += 1 + word.len();
    }
    text.push('\n');
}
