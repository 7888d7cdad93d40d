//! Servers that are asked over TLS: by commands, and as an upstream.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    sync::Arc,
    thread,
};

use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring::default_provider,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::{
    client::Upload,
    program::{Program, TOKEN, command, run},
};

/// Token that a server of these tests accepts.
const UPSTREAM_TOKEN: &str = "apify_api_upstreamupstreamupstreamupstream12";

/// Starts a server and returns its port. Its certificate is for `localhost`, and only `folder/ca.pem` vouches for it.
/// Until the test ends it answers every request that has one of the tokens with an empty list.
fn serve(folder: &Path) -> u16 {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    fs::write(folder.join("ca.pem"), made.cert.pem()).expect("it is written");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a certificate");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = BufReader::new(StreamOwned::new(connection, stream));
            let mut line = String::new();
            let mut is_known = false;
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                is_known |= line.contains(TOKEN) || line.contains(UPSTREAM_TOKEN);
                line.clear();
            }
            let body = if is_known { r#"{"data":{"count":0,"items":[]}}"# } else { "{}" };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            // A client that does not trust us has left already.
            let _ = stream.get_mut().write_all((head + body).as_bytes());
            let _ = stream.get_mut().flush();
        }
    });
    port
}

#[test]
fn a_server_is_asked_over_tls_if_it_is_known_to_be_the_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("https://localhost:{}", serve(folder.path()));
    let list = |ca: Option<&str>| {
        let mut list = command(folder.path(), &["user", "list", "--url", &url]);
        list.env("LARDER_TOKEN", TOKEN).envs(ca.map(|file| ("LARDER_CA_FILE", file)));
        run(list)
    };
    let asked = list(Some("ca.pem"));
    assert!(asked.status.success() && asked.stdout.is_empty(), "{}", asked.stderr);
    let refused = list(None);
    assert!(!refused.status.success() && refused.stderr.contains("no response from https://"), "{}", refused.stderr);
    assert!(!refused.stderr.contains(TOKEN), "{}", refused.stderr);
    let refused = list(Some("absent.pem"));
    assert!(!refused.status.success() && refused.stderr.contains("absent.pem"), "{}", refused.stderr);
}

#[test]
fn an_upstream_is_asked_over_tls_if_it_is_known_to_be_the_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = serve(folder.path());
    let authorities = folder.path().join("ca.pem");
    let authorities = authorities.to_str().expect("a path");
    // The certificate is not for the address, and without the file no authority vouches for it.
    for (host, trusted, status) in
        [("localhost", Some(authorities), 200), ("127.0.0.1", Some(authorities), 503), ("localhost", None, 503)]
    {
        let url = format!("https://{host}:{port}");
        let mut settings = vec![("LARDER_UPSTREAM_URL", url.as_str()), ("LARDER_UPSTREAM_TOKEN", UPSTREAM_TOKEN)];
        settings.extend(trusted.map(|file| ("SSL_CERT_FILE", file)));
        let mut serve = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
        serve.env("LARDER_TOKEN", TOKEN).envs(settings);
        let program = Program::start(serve);
        let mut client = program.client();
        let answer = client.send("GET", "/v2/datasets", "", Upload::None).expect("it answers");
        assert_eq!(answer.status, status, "{host}, {trusted:?}");
        program.stop();
    }
}
