//! Commands that ask a server over TLS.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::Arc,
    thread,
};

use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring::default_provider,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::program::{TOKEN, command, run};

/// Answers every request over TLS with an empty list, until the test ends; its port.
fn serve(config: Arc<ServerConfig>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = BufReader::new(StreamOwned::new(connection, stream));
            let mut line = String::new();
            let mut is_known = false;
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                is_known |= line.contains(TOKEN);
                line.clear();
            }
            let body = if is_known { r#"{"data":{"count":0,"items":[]}}"# } else { "{}" };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            // Whoever does not trust us has left already.
            let _ = stream.get_mut().write_all((head + body).as_bytes());
            let _ = stream.get_mut().flush();
        }
    });
    port
}

#[test]
fn a_server_is_asked_over_tls_if_it_is_known_to_be_the_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    fs::write(folder.path().join("ca.pem"), made.cert.pem()).expect("it is written");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a certificate");
    let url = format!("https://localhost:{}", serve(Arc::new(config)));
    let list = |ca: Option<&str>| {
        let mut list = command(folder.path(), &["user", "list", "--url", &url]);
        list.env("LARDER_TOKEN", TOKEN).envs(ca.map(|file| ("LARDER_CA_FILE", file)));
        run(list)
    };
    let asked = list(Some("ca.pem"));
    assert!(asked.status.success() && asked.stdout.join("").contains("\"count\": 0"), "{}", asked.stderr);
    let refused = list(None);
    assert!(!refused.status.success() && refused.stderr.contains("no answer from https://"), "{}", refused.stderr);
    assert!(!refused.stderr.contains(TOKEN), "{}", refused.stderr);
    let refused = list(Some("absent.pem"));
    assert!(!refused.status.success() && refused.stderr.contains("absent.pem"), "{}", refused.stderr);
}
