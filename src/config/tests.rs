//! The promises of the configuration.

use std::{fs, time::Duration};

use tempfile::TempDir;

use super::{Given, Loaded, Problems, load, settings};

/// The outcome with these variables, flags and file. Some file is always named, so that none of the working folder is
/// read.
fn loading(
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
    file: &str,
) -> (TempDir, Result<Loaded, Problems>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("larder.toml");
    fs::write(&path, file).expect("the file is written");
    let given = Given {
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
    let problems =
        loading(&environment, &[("stall_timeout", "soon"), ("log", "inof")], file).1.expect_err("much is wrong");
    let text = problems.to_string();
    assert_eq!(problems.0.len(), 10, "{text}");
    for said in [
        "max_recrod_size: there is no such setting; did you mean max_record_size?",
        "log_format: \"xml\"",
        "data: takes one text",
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

#[test]
fn the_keeper_is_this_gateway_or_the_origin_of_another() {
    let keeper = |text| {
        let loaded = loading(&[("LARDER_KEEPER", text)], &[], "").1;
        loaded.map(|loaded| loaded.config.keeper.expect("it was given").to_string()).map_err(|error| error.to_string())
    };
    assert_eq!(keeper("self").as_deref(), Ok("self"));
    assert_eq!(keeper(" http://10.0.0.5:8011/ ").as_deref(), Ok("http://10.0.0.5:8011"));
    for (wrong, said) in [("other", "is not an origin"), ("https://keeper", "HTTPS"), ("http://keeper/v2", "a path")] {
        assert!(keeper(wrong).expect_err(wrong).contains(said), "{wrong}");
    }
}

#[test]
fn an_upstream_is_the_origin_of_a_server_of_any_make() {
    let upstream = |text| {
        let loaded = loading(&[("LARDER_UPSTREAM_URL", text)], &[], "").1;
        loaded.map(|loaded| loaded.config.upstream.address.expect("it was given").to_string())
    };
    assert_eq!(upstream(" http://10.0.0.5:8011/ ").expect("it is one"), "http://10.0.0.5:8011");
    for wrong in ["other", "http://user:s3cret@upstream", "http://upstream/v2", "ftp://upstream"] {
        assert!(upstream(wrong).expect_err(wrong).to_string().contains("is not an origin"), "{wrong}");
    }
    match upstream("https://upstream.example") {
        Ok(address) => assert!(cfg!(feature = "s3") && address == "https://upstream.example"),
        Err(problems) => assert!(!cfg!(feature = "s3") && problems.to_string().contains("HTTPS")),
    }
}

#[test]
fn a_secret_is_never_shown() {
    let environment =
        [("LARDER_TOKEN", "very-s3cret"), ("LARDER_SECRET", "also-s3cret"), ("LARDER_UPSTREAM_TOKEN", "s3cret-too")];
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
    let environment =
        [("LARDER_TOKEN", ""), ("LARDER_PORT_8011_TCP_ADDR", "10.0.0.1"), ("LARDER_SERVICE_HOST", "10.0.0.1")];
    assert!(loading(&environment, &[], "").1.expect("all is well").config.token.is_none());
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let given = Given { file: Some("/nowhere/larder.toml".into()), ..Given::default() };
    assert!(load(&given).expect_err("it is not there").to_string().contains("/nowhere/larder.toml"));
}

#[test]
fn a_setting_has_one_name_in_every_place() {
    for setting in settings() {
        assert_eq!(setting.variable().trim_start_matches("LARDER_").to_lowercase(), setting.name);
        assert_eq!(setting.flag().is_none(), setting.is_secret, "{}", setting.name);
    }
}
