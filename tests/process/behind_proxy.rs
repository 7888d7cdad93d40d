//! Client addresses, as reported by proxies that are trusted, or are not.

use std::{net::SocketAddr, time::Duration};

use crate::{
    client::{Client, Upload},
    program::{Program, TOKEN, command, pause, run},
};

/// Returns the status and text of a response to a request with these headers.
fn ask_once(address: SocketAddr, token: &str, method: &str, path: &str, headers: &str) -> (u16, String) {
    let mut client = Client::connect(address, token).expect("it accepts");
    client.begin(method, path, headers).expect("it is sent");
    let answer = client.answer(false).expect("it answers");
    (answer.status, answer.text().unwrap_or_default())
}

/// The same for the admin, who is limited, too.
fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> (u16, String) {
    loop {
        match ask_once(address, TOKEN, method, path, headers) {
            (429, _) => pause(Duration::from_millis(300)),
            answer => return answer,
        }
    }
}

/// Returns how many requests without a valid token, each reported from another address, are rejected by the rate limit.
fn limited(program: &Program, header: &str) -> usize {
    let from = |number: usize| format!("{header}: 198.51.100.{number}\r\n");
    let statuses = (0..20).map(|number| ask_once(program.address, "unknown", "GET", "/v2/users/me", &from(number)).0);
    statuses.filter(|status| *status == 429).count()
}

#[test]
fn clients_behind_a_trusted_proxy_are_limited_and_logged_by_their_own_address() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--trusted-proxies", "10.0.0.0/8,127.0.0.1", "--max-client-rps", "1"];
    let program = Program::serve(folder.path(), &arguments);
    assert_eq!(limited(&program, "x-forwarded-for"), 0);
    assert!(limited(&program, "forwarded") > 0, "there is one way to say it");
    let headers = "x-forwarded-for: 6.6.6.6, 203.0.113.9, 10.1.1.1\r\nx-forwarded-proto: https\r\n\
                   x-forwarded-host: larder.example\r\n";
    let (status, made) = ask(program.address, "POST", "/v2/key-value-stores?name=told", headers);
    assert_eq!(status, 201);
    assert!(made.contains("\"https://larder.example/v2/key-value-stores/"), "{made}");
    let store: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    let path = format!("/v2/key-value-stores/{}", store["data"]["id"].as_str().expect("an id"));
    let evil = "x-forwarded-for: 203.0.113.9\r\nx-forwarded-host: a\"b\r\nx-forwarded-proto: https\r\n";
    let (_, got) = ask(program.address, "GET", &path, evil);
    assert!(got.contains(&format!("\"http://{}/v2/", program.address)), "{got}");
    assert_eq!(ask(program.address, "DELETE", &path, "x-forwarded-for: 203.0.113.9\r\n").0, 204);
    let ended = program.stop();
    assert!(ended.stderr.contains("caller_address=203.0.113.9"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("6.6.6.6"), "{}", ended.stderr);
}

#[test]
fn forwarded_addresses_of_untrusted_peers_are_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &["--trusted-proxies", "10.0.0.0/8", "--max-client-rps", "1"]);
    assert!(limited(&program, "x-forwarded-for") > 0);
    let mut client = program.client();
    let answer = client.send("GET", "/health/live", "", Upload::None).expect("it answers");
    assert_eq!(answer.status, 200);
    let headers = "x-forwarded-for: 203.0.113.9\r\nx-forwarded-proto: https\r\nx-forwarded-host: evil.example\r\n";
    let (_, made) = ask(program.address, "POST", "/v2/key-value-stores?name=unlogged", headers);
    assert!(!made.contains("evil.example"), "{made}");
    let store: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    let path = format!("/v2/key-value-stores/{}", store["data"]["id"].as_str().expect("an id"));
    assert_eq!(ask(program.address, "DELETE", &path, headers).0, 204);
    let ended = program.stop();
    assert!(
        ended.stderr.contains("caller_address=127.0.0.1") && !ended.stderr.contains("203.0.113.9"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_proxy_serves_it_below_a_path_which_it_leaves_on_or_takes_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::serve(folder.path(), &["--public-url", "https://example.com/larder/"]);
    let address = program.address;
    let (status, made) = ask(address, "POST", "/larder/v2/key-value-stores?name=below", "");
    assert_eq!(status, 201, "{made}");
    let store: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    let id = store["data"]["id"].as_str().expect("an id");
    for (link, path) in [
        ("consoleUrl", format!("https://example.com/larder/console/key-value-stores/{id}")),
        ("keysPublicUrl", format!("https://example.com/larder/v2/key-value-stores/{id}/keys")),
    ] {
        assert!(store["data"][link].as_str().is_some_and(|url| url.starts_with(&path)), "{made}");
    }
    for base in ["/larder", ""] {
        for path in [
            format!("/v2/key-value-stores/{id}"),
            "/larder/v1/users".to_owned(),
            "/health/ready".to_owned(),
            "/metrics".to_owned(),
            "/console/app/main.js".to_owned(),
        ] {
            assert_eq!(ask(address, "GET", &format!("{base}{path}"), "").0, 200, "{base}{path}");
        }
        let (status, page) = ask(address, "GET", &format!("{base}/console/key-value-stores/{id}"), "");
        assert!(status == 200 && page.contains("\"/larder/console/app/main.js\""), "{page}");
        assert_eq!(ask(address, "GET", &format!("{base}/"), "accept: text/html\r\n").0, 307);
        let (status, root) = ask(address, "GET", &format!("{base}/"), "");
        let root: serde_json::Value = serde_json::from_str(&root).expect("JSON");
        assert_eq!((status, root["links"]["console"].as_str()), (200, Some("/larder/console/")));
        assert_eq!(
            (root["name"].as_str(), root["version"].as_str()),
            (Some("Larder"), Some(env!("CARGO_PKG_VERSION")))
        );
    }
    // Commands take the address as clients do.
    let url = format!("http://{address}/larder");
    let mut list = command(folder.path(), &["user", "list", "--url", &url]);
    list.env("LARDER_TOKEN", TOKEN);
    let listed = run(list);
    assert!(listed.status.success(), "{}", listed.stderr);
}
