//! Groups of settings, each with an example, and the example file generated from them.
//!
//! The declaration of a setting describes it; this module adds what documents need. A test checks that every setting is
//! in one group.

use std::fmt::Write as _;

use super::{options::Config, setting::Setting, settings::settings};

/// Maximum length of comment lines.
const LINE_LENGTH: usize = 100;

/// Opening of the example file.
const OPENING: &str = "Every setting of Larder. Put this file where Larder is started, as larder.toml, or name it by --config or LARDER_CONFIG, and take \
                       the sign # away before what is to be different. Each setting is also a variable of the environment, which wins over \
                       this file, and, unless it is a secret, a flag, which wins over both. `larder check` says what is in force.";

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
        title: "Where it listens, and where data is",
        about: "",
        settings: &[("listen", "0.0.0.0:8011"), ("public_url", "https://larder.example"), ("data", "/var/lib/larder")],
    },
    Group {
        title: "Tokens and users",
        about: "Who may do what is said in [the promises](SECURITY_MODEL.md#who-may-do-what). All gateways of one object store are given the same. \
                A token or a secret has at least 16 characters, and is none that stands in the documentation; where Larder listens on the \
                loopback alone, a weak one is a warning. `larder token generate` makes a good one.",
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
        about: "[How long stores live](GUARANTEES.md#how-long-stores-live) is a promise of its own.",
        settings: &[("retention_days", "30"), ("max_record_size", "100MiB")],
    },
    Group {
        title: "Limits of requests",
        about: "What is too much is answered 429, or 503 where it is too much for the gateway itself \
                ([how](SECURITY_MODEL.md#limits)). Each gateway counts by itself.",
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
        title: "HTTPS and balancers",
        about: "[How certificates are renewed, and how a gateway leaves](OPERATIONS.md#certificates-reload-drain).",
        settings: &[
            ("tls_cert", "/etc/larder/tls/chain.pem"),
            ("tls_key", "/etc/larder/tls/key.pem"),
            ("trusted_proxies", "10.0.0.0/8"),
            ("drain_delay", "5s"),
        ],
    },
    Group {
        title: "Traces and prices",
        about: "[What is traced](TRACING.md), and [what object calls cost](API.md#cost-of-object-calls).",
        settings: &[
            ("otlp_endpoint", "http://collector:4318"),
            ("otlp_headers", "x-api-key=a-fourth-long-random-text"),
            ("trace_ratio", "0.1"),
            ("prices", "a=0.005,b=0.0004,out=0.09,currency=USD"),
        ],
    },
    Group {
        title: "Time-outs of connections",
        about: "",
        settings: &[
            ("header_timeout", "10s"),
            ("idle_timeout", "5m"),
            ("stall_timeout", "1m"),
            ("drain_timeout", "1m"),
        ],
    },
    Group {
        title: "What users may have",
        about: "For all users; the admin can set others for one ([how](SECURITY_MODEL.md#limits)). What there is, is counted in the background.",
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
        title: "Memory",
        about: "",
        settings: &[
            ("cache_size", "128MiB"),
            ("record_cache_size", "256MiB"),
            ("exclusive_bucket", "yes"),
            ("request_memory", "256MiB"),
        ],
    },
    Group {
        title: "Several gateways",
        about: "Only where the object store has no conditional writes; [who does what then](CLUSTERING.md).",
        settings: &[("leader", "http://10.0.0.5:8011")],
    },
    Group {
        title: "Runs of actors",
        about: "[What runs are here](API.md#actor-runs).",
        settings: &[("run_heartbeat_timeout", "10m"), ("run_retention_days", "30")],
    },
    Group {
        title: "Datasets and request queues",
        about: "Both or neither of these are given; [what is passed on](API.md#datasets-and-request-queues).",
        settings: &[("upstream_url", "https://api.apify.com"), ("upstream_token", "the-token-there")],
    },
    Group {
        title: "Logs",
        about: "",
        settings: &[("log", "warn,larder=debug"), ("log_format", "json"), ("access_log", "json")],
    },
    Group {
        title: "The object store",
        about: "With a bucket, Larder keeps everything there and nothing in the data folder. Access keys come from wherever AWS's own tools find \
                them: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, a profile, the machine's role. So do the endpoint and the region, unless \
                they are set here, and whether FIPS and dual-stack endpoints are used. Without `s3_bucket` the other settings of this group are an \
                error. [Which object stores were tried](BACKENDS.md), and what each of them wants.",
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
                None if setting.is_secret => (String::new(), "; a secret"),
                None => (example.to_owned(), "; not set unless it is here"),
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
        if length == 0 || length + 1 + word.len() > LINE_LENGTH {
            text.push_str(if length == 0 { "#" } else { "\n#" });
            length = 1;
        }
        text.push(' ');
        text.push_str(word);
        length += 1 + word.len();
    }
    text.push('\n');
}
