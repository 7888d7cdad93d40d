//! Tests of the configuration's promises.

use std::{fs, time::Duration};

use tempfile::TempDir;

use super::{ConfigErrors, ConfigSources, Loaded, load, settings};

/// Loads these variables, flags and file. A file is always named, so that none in the working folder is read.
fn loading(
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
    file: &str,
) -> (TempDir, Result<Loaded, ConfigErrors>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("larder.toml");
    fs::write(&path, file).expect("the file is written");
    let given = ConfigSources {
        file: Some(path),
        environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        flags: flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
    };
    (folder, load(&given))
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "listen = '127.0.0.1:1'\nmax_connections = 7\nidle_timeout = '7s'\nlog = 'warn'";
    let environment = [("LARDER_LISTEN", "127.0.0.1:2"), ("LARDER_MAX_CONNECTIONS", "8"), ("PATH", "/bin")];
    let loaded = loading(&environment, &[("listen", "127.0.0.1:3")], file).1.expect("all is well");
    assert_eq!(loaded.config.server.listen.port(), 3);
    assert_eq!(loaded.config.server.max_connections, 8);
    assert_eq!(loaded.config.server.idle_timeout, Duration::from_secs(7));
    assert_eq!(loaded.config.server.header_timeout, Duration::from_secs(30));
}

#[test]
fn everything_that_is_wrong_is_found_at_once_with_its_fix() {
    let file = "max_recrod_size = '5GiB'\nlog_format = 'xml'\ndata = ['a']";
    let environment = [
        ("LARDER_LISTEN", "here"),
        ("LARDER_RETENTION_DAYS", "-1"),
        ("LARDER_TOKN", "s3cret"),
        ("LARDER_TOKEN", "s3cret with spaces"),
        ("LARDER_PUBLIC_URL", "larder.example"),
    ];
    let errors =
        loading(&environment, &[("stall_timeout", "soon"), ("log", "inof")], file).1.expect_err("much is wrong");
    let text = errors.to_string();
    assert_eq!(errors.errors.len(), 10, "{text}");
    for said in [
        "max_recrod_size: there is no such setting; did you mean max_record_size?",
        "log_format: \"xml\"",
        "data: is not a string",
        "LARDER_LISTEN: \"here\" is not an IP address and a port; write it like 127.0.0.1:8011",
        "LARDER_RETENTION_DAYS: \"-1\"",
        "LARDER_TOKN: there is no such variable; did you mean LARDER_TOKEN?",
        "LARDER_TOKEN: [redacted]",
        "LARDER_PUBLIC_URL: \"larder.example\"",
        "--stall-timeout: \"soon\" is not a time",
        "--log: \"inof\"",
    ] {
        assert!(text.contains(said), "{said}\nis not in\n{text}");
    }
    assert!(!text.contains("s3cret"), "{text}");
}

#[cfg(feature = "s3")]
#[test]
fn a_setting_of_an_object_store_without_a_bucket_is_refused() {
    let environment = [("LARDER_S3_ENDPOINT", "http://minio:9000")];
    let errors = loading(&environment, &[("s3_prefix", "team-a")], "s3_region = 'eu-central-1'").1;
    let errors = errors.expect_err("there is no bucket");
    let text = errors.to_string();
    assert_eq!(errors.errors.len(), 3, "{text}");
    for location in ["LARDER_S3_ENDPOINT", "--s3-prefix", "larder.toml: s3_region"] {
        assert!(text.contains(&format!("{location}: has no effect without LARDER_S3_BUCKET")), "{location}\n{text}");
    }
    assert!(loading(&environment, &[("s3_bucket", "b-1")], "").1.is_ok());
    // A bucket with an invalid name is one error, and not one for each setting beside it.
    assert_eq!(loading(&environment, &[("s3_bucket", "B")], "").1.expect_err("it is no name").errors.len(), 1);
}

#[test]
fn the_leader_is_this_gateway_or_the_origin_of_another() {
    let leader = |text| {
        let environment = [("LARDER_LEADER", text), ("LARDER_S3_BUCKET", "larder")];
        let loaded = loading(&environment[..if cfg!(feature = "s3") { 2 } else { 1 }], &[], "").1;
        loaded.map(|loaded| loaded.config.leader.expect("it was given").to_string()).map_err(|error| error.to_string())
    };
    assert_eq!(leader("self").as_deref(), Ok("self"));
    assert_eq!(leader(" http://10.0.0.5:8011/ ").as_deref(), Ok("http://10.0.0.5:8011"));
    for (wrong, said) in [("other", "is not an origin"), ("https://leader", "HTTPS"), ("http://leader/v2", "a path")] {
        assert!(leader(wrong).expect_err(wrong).contains(said), "{wrong}");
    }
}

#[test]
fn an_upstream_is_the_origin_of_a_server_of_any_make() {
    let upstream = |text| {
        let loaded = loading(&[("LARDER_UPSTREAM_URL", text), ("LARDER_UPSTREAM_TOKEN", "its-token")], &[], "").1;
        loaded.map(|loaded| loaded.config.upstream.address.expect("it was given").to_string())
    };
    assert_eq!(upstream(" http://10.0.0.5:8011/ ").expect("it is one"), "http://10.0.0.5:8011");
    for wrong in ["other", "http://user:s3cret@upstream", "http://upstream/v2", "ftp://upstream"] {
        assert!(upstream(wrong).expect_err(wrong).to_string().contains("is not an origin"), "{wrong}");
    }
    match upstream("https://upstream.example") {
        Ok(address) => assert!(cfg!(feature = "s3") && address == "https://upstream.example"),
        Err(errors) => assert!(!cfg!(feature = "s3") && errors.to_string().contains("HTTPS")),
    }
}

#[test]
fn a_secret_is_never_shown() {
    let environment = [
        ("LARDER_TOKEN", "very-s3cret"),
        ("LARDER_SECRET", "also-s3cret"),
        ("LARDER_UPSTREAM_URL", "http://10.0.0.9:1"),
        ("LARDER_UPSTREAM_TOKEN", "s3cret-too"),
    ];
    let loaded = loading(&environment, &[], "").1.expect("all is well");
    assert!(!format!("{loaded} {loaded:?}").contains("s3cret"));
    assert!(loaded.to_string().contains("token = \"[redacted]\""));
    let (_folder, broken) = loading(&[], &[], "token = \"very-s3cret\" oops");
    let text = broken.expect_err("that is no TOML").to_string();
    assert!(!text.contains("s3cret") && text.contains("line 1"), "{text}");
}

#[test]
fn what_is_shown_reads_back_as_the_same_configuration() {
    let environment = [("LARDER_PUBLIC_URL", "https://larder.example"), ("LARDER_DATA", "a \"strange\" \\ folder")];
    let flags =
        [("retention_days", "0.5"), ("max_record_size", "1000"), ("stall_timeout", "1500ms"), ("log_format", "json")];
    let shown = loading(&environment, &flags, "").1.expect("all is well").to_string();
    let again = loading(&[], &[], &shown).1.expect("it reads back").to_string();
    let values = |text: &str| text.lines().map(|line| line.split(" # ").next().map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(values(&again), values(&shown));
    assert!(again.contains("0.5") && again.contains("1500ms"), "{again}");
}

#[test]
fn variables_that_are_empty_or_from_kubernetes_are_no_settings() {
    let environment = [
        ("LARDER_TOKEN", ""),
        ("LARDER_PORT_8011_TCP_ADDR", "10.0.0.1"),
        ("LARDER_SERVICE_HOST", "10.0.0.1"),
        ("LARDER_LEADER_SERVICE_HOST", "10.0.0.2"),
        ("LARDER_LEADER_SERVICE_PORT_HTTP", "8011"),
        ("LARDER_S3_PORT", "tcp://10.0.0.3:8333"),
        ("LARDER_S3_PORT_8333_TCP", "tcp://10.0.0.3:8333"),
    ];
    assert!(loading(&environment, &[], "").1.expect("all is well").config.token.is_none());
}

/// Returns the errors and warnings about these variables; empty if there are none.
fn said_of(environment: &[(&str, &str)]) -> String {
    loading(environment, &[], "").1.map_or_else(|errors| errors.to_string(), |_| String::new())
}

#[test]
fn a_variable_that_is_no_setting_is_refused_with_the_one_that_was_meant() {
    for (name, value, said) in [
        ("LARDER_PORT", "9000", "did you mean LARDER_LISTEN?"),
        ("LARDER_S3_PORT", "9000", "did you mean LARDER_LISTEN?"),
        ("LARDER_BUCKET", "larder", "did you mean LARDER_S3_BUCKET?"),
        ("LARDER_FLAVOUR", "sweet", "remove it"),
    ] {
        assert!(said_of(&[(name, value)]).contains(&format!("{name}: there is no such variable; {said}")), "{name}");
    }
}

#[test]
fn line_breaks_at_the_end_of_values_are_no_part_of_them() {
    for setting in settings() {
        let example = super::groups::GROUPS.iter().flat_map(super::groups::Group::settings);
        let (_, example) =
            example.into_iter().find(|(known, _)| known.name == setting.name).expect("it has an example");
        for line_break in ["\n", "\r\n", "\n\n"] {
            let apply = |value: &str| {
                let given = ConfigSources { flags: vec![(setting.name, value.to_owned())], ..ConfigSources::default() };
                load(&given).map_or_else(
                    |errors| errors.to_string(),
                    |loaded| format!("{loaded} {:?}", loaded.fingerprint(setting).is_some()),
                )
            };
            assert_eq!(apply(&format!("{example}{line_break}")), apply(example), "{}", setting.name);
        }
    }
    let secret = |value: &str| {
        let (_folder, loaded) = loading(&[("LARDER_SECRET", value)], &[], "");
        let loaded = loaded.expect("all is well");
        let setting = settings().find(|setting| setting.name == "secret").expect("it is a setting");
        loaded.fingerprint(setting).expect("it is set").clone()
    };
    assert!(secret("the-same-for-all-gateways\n") == secret("the-same-for-all-gateways"));
    assert!(secret("the-same-for-all-gateways!") != secret("the-same-for-all-gateways"));
    let given =
        ConfigSources { environment: vec![("LARDER_URL".into(), "http://a\r\n".into())], ..ConfigSources::default() };
    assert_eq!(given.variable("LARDER_URL"), Some("http://a"));
}

#[test]
fn a_line_break_within_a_value_is_refused_under_the_name_of_the_variable() {
    for name in ["LARDER_DATA", "LARDER_SECRET", "LARDER_S3_REGION", "LARDER_TOKEN", "LARDER_TLS_CERT"] {
        if cfg!(not(feature = "s3")) && name.starts_with("LARDER_S3_") {
            continue;
        }
        let said = said_of(&[(name, "one\ntwo-and-more-of-it")]);
        assert!(said.contains(&format!("{name}: ")) && said.contains("line break"), "{said}");
    }
    let said = said_of(&[("AWS_SECRET_ACCESS_KEY", "s3cret\n")]);
    assert!(said.contains("AWS_SECRET_ACCESS_KEY: contains a line break") && !said.contains("s3cret"), "{said}");
    assert_eq!(said_of(&[("AWS_SECRET_ACCESS_KEY", "s3cret")]), "");
}

#[test]
fn secrets_that_can_be_guessed_are_for_this_machine_alone() {
    for (name, value) in [
        ("LARDER_TOKEN", "a"),
        ("LARDER_TOKEN", "change-this-token"),
        ("LARDER_SECRET", "fifteen-letters"),
        ("LARDER_METRICS_TOKEN", "a-third-long-random-text"),
        ("LARDER_USER_TOKEN", "larder_0000000000000000000000000000002C8GjS"),
    ] {
        for (listen, is_public) in
            [("127.0.0.1:0", false), ("[::1]:0", false), ("0.0.0.0:0", true), ("[::]:0", true), ("10.0.0.5:1", true)]
        {
            let environment = [(name, value), ("LARDER_LISTEN", listen), ("LARDER_USER", "baker")];
            match loading(&environment, &[], "").1 {
                Ok(loaded) => {
                    assert!(!is_public && loaded.warnings.len() == 1, "{name} {listen}");
                    assert_eq!(loaded.warnings[0].location, name);
                }
                Err(errors) => {
                    assert!(is_public && errors.errors.len() == 1, "{name} {listen}: {errors}");
                    assert!(errors.to_string().contains(&format!("{name}: [redacted] ")), "{errors}");
                }
            }
        }
    }
    let strong = [("LARDER_TOKEN", "sixteen-letters-"), ("LARDER_LISTEN", "0.0.0.0:0")];
    assert!(loading(&strong, &[], "").1.expect("all is well").warnings.is_empty());
    // The value from the environment counts, not the one that it replaces.
    assert!(loading(&strong, &[], "token = 'a'").1.expect("all is well").warnings.is_empty());
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let own = "http://127.0.0.1:8011";
    for (environment, location, said) in [
        (&[("LARDER_TLS_CERT", "a.pem")][..], "LARDER_TLS_CERT", "or neither"),
        (&[("LARDER_TLS_KEY", "a.pem")], "LARDER_TLS_KEY", "or neither"),
        (&[("LARDER_UPSTREAM_URL", "http://10.0.0.9:1")], "LARDER_UPSTREAM_URL", "or neither"),
        (&[("LARDER_UPSTREAM_TOKEN", "its-token")], "LARDER_UPSTREAM_TOKEN", "or neither"),
        (
            &[("LARDER_USER_TOKEN", "larder_0000000000000000000000000000002C8GjS")],
            "LARDER_USER_TOKEN",
            "set LARDER_USER, too",
        ),
        (&[("LARDER_OTLP_HEADERS", "x-api-key=s3cret")], "LARDER_OTLP_HEADERS", "set LARDER_OTLP_ENDPOINT, too"),
        (&[("LARDER_MAX_CLIENT_CONNECTIONS", "20000")], "LARDER_MAX_CLIENT_CONNECTIONS", "more than"),
        (&[("LARDER_LEADER", "http://10.0.0.5:8011")], "LARDER_LEADER", "only one gateway can use a data folder"),
        (&[("LARDER_LEADER", own)], "LARDER_LEADER", "this gateway itself"),
        (
            &[("LARDER_UPSTREAM_URL", own), ("LARDER_UPSTREAM_TOKEN", "its-token")],
            "LARDER_UPSTREAM_URL",
            "this gateway itself",
        ),
        (
            &[("LARDER_TOKEN", "one-for-everything"), ("LARDER_METRICS_TOKEN", "one-for-everything")],
            "LARDER_METRICS_TOKEN",
            "the same value as LARDER_TOKEN",
        ),
    ] {
        let errors = loading(environment, &[], "").1.expect_err(location);
        assert_eq!(errors.errors.len(), 1, "{errors}");
        assert_eq!(errors.errors[0].location, location);
        assert!(errors.errors[0].message.contains(said), "{errors}");
    }
    // An invalid setting is not reported as a missing one.
    let said = said_of(&[("LARDER_UPSTREAM_URL", "nowhere"), ("LARDER_UPSTREAM_TOKEN", "its-token")]);
    assert!(said.contains("1 error:") && said.contains("is not an origin"), "{said}");
}

#[cfg(feature = "s3")]
#[test]
fn settings_of_gateways_before_one_bucket_that_contradict_each_other_are_refused() {
    let bucket = ("LARDER_S3_BUCKET", "larder");
    let leader = ("LARDER_LEADER", "http://10.0.0.5:8011");
    for (environment, said) in [
        (vec![bucket, ("LARDER_RECORD_CACHE_SIZE", "1MiB")], "LARDER_EXCLUSIVE_BUCKET to yes"),
        (vec![bucket, leader, ("LARDER_EXCLUSIVE_BUCKET", "yes")], "declares that there is none"),
    ] {
        assert!(said_of(&environment).contains(said), "{said}");
    }
    assert_eq!(said_of(&[bucket, leader]), "");
    assert_eq!(said_of(&[bucket, ("LARDER_RECORD_CACHE_SIZE", "0")]), "");
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let given = ConfigSources { file: Some("/nowhere/larder.toml".into()), ..ConfigSources::default() };
    assert!(load(&given).expect_err("it is not there").to_string().contains("/nowhere/larder.toml"));
}

#[test]
fn a_setting_has_one_name_in_every_place() {
    for setting in settings() {
        assert_eq!(setting.variable().trim_start_matches("LARDER_").to_lowercase(), setting.name);
        assert_eq!(setting.flag().is_none(), setting.is_secret, "{}", setting.name);
    }
}
