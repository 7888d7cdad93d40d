//! HTTPS: the protocols on its port, those that it rejects, and a new certificate while streams are open.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, SystemTime},
};

use larder::clock::{Clock, SystemClock, Timestamp};
use rustix::process::Signal;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};

use crate::{
    client::{Client, Upload},
    pattern::Pattern,
    program::{Program, TOKEN, command, now, pause, run, until},
};

/// Readers whose streams are open when the certificate changes.
const READERS: usize = 50;

/// Bytes that each of them reads: more than all buffers on the way hold.
const RECORD_BYTES: usize = 8 << 20;

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// Puts a new certificate for `localhost`, and its key, into the files of [`serve`].
pub fn make_certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    fs::write(folder.join("cert.pem"), made.cert.pem()).expect("it is written");
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("it is written");
    made.cert.der().clone()
}

/// Returns the program over HTTPS, with the files of [`make_certificate`].
fn serving(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = command(folder, &["serve", "--listen", "127.0.0.1:0"]);
    command.args(arguments).env("LARDER_TOKEN", TOKEN);
    command.env("LARDER_TLS_CERT", "cert.pem").env("LARDER_TLS_KEY", "key.pem");
    command
}

/// Opens a connection to a server that has one of these certificates.
fn connect(address: SocketAddr, trusted: &[&CertificateDer<'static>], protocols: &[&[u8]]) -> std::io::Result<Secure> {
    connect_by(address, trusted, protocols, &[&TLS12, &TLS13])
}

fn connect_by(
    address: SocketAddr,
    trusted: &[&CertificateDer<'static>],
    protocols: &[&[u8]],
    versions: &[&'static tokio_rustls::rustls::SupportedProtocolVersion],
) -> std::io::Result<Secure> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add((*certificate).clone()).expect("it can be trusted");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

/// Asks, and reads the head of the answer: its status and the rest.
fn ask(stream: &mut BufReader<Secure>, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.get_mut().write_all(head.as_bytes()).expect("it is sent");
    stream.get_mut().write_all(body).expect("it is sent");
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).expect("it answers"), 0, "closed after {head:?}");
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head)
}

#[test]
fn https_is_served_and_plain_http_is_rejected() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = make_certificate(folder.path());
    let program = Program::start(serving(folder.path(), &["--header-timeout", "2s"]));
    let (address, trusted) = (program.address, [&certificate]);
    // A silent client blocks no other client.
    let mut silent = TcpStream::connect(address).expect("it accepts");
    for (version, expected) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let stream = connect_by(address, &trusted, &[b"h2", b"http/1.1"], &[version]).expect("it is spoken");
        assert_eq!(stream.conn.protocol_version(), Some(expected));
        assert_eq!(stream.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
        let mut stream = BufReader::new(stream);
        for _ in 0..2 {
            let (status, head) = ask(&mut stream, "GET", "/health/live", b"");
            assert_eq!(status, 200);
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            stream.read_exact(&mut vec![0; length.parse().expect("a number")]).expect("a body");
        }
    }
    assert!(connect(address, &trusted, &[b"h2"]).is_err(), "HTTP/2 is not spoken");
    let mut plain = Client::connect(address, TOKEN).expect("it accepts");
    let answer = plain.send("GET", "/health/live", "", Upload::None).expect("it answers");
    assert_eq!(answer.status, 400);
    assert!(answer.text().expect("a body").contains("https://"));
    let mut garbage = TcpStream::connect(address).expect("it accepts");
    garbage.write_all(&[22, 3, 1, 0, 4, 1, 1, 1, 1]).expect("it is sent");
    garbage.read_to_end(&mut Vec::new()).expect("it is closed");
    silent.read_to_end(&mut Vec::new()).expect("it is closed in the end");
    assert_eq!(program.stop().status.code(), Some(0));
}

#[test]
fn commands_find_the_server_of_their_own_machine_whatever_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    make_certificate(folder.path());
    let program = Program::start(serving(folder.path(), &[]));
    let listen = program.address.to_string();
    let with = |arguments: &[&str]| {
        let mut command = command(folder.path(), arguments);
        command.env("LARDER_LISTEN", &listen).env("LARDER_TOKEN", TOKEN);
        command.env("LARDER_TLS_CERT", "cert.pem").env("LARDER_TLS_KEY", "key.pem");
        run(command)
    };
    let health = with(&["health"]);
    assert_eq!((health.status.code(), health.stdout.join("")), (Some(0), "ready".to_owned()), "{}", health.stderr);
    let list = with(&["user", "list"]);
    assert!(list.status.success() && list.stdout.len() == 2 && list.stdout[1].ends_with("admin"), "{}", list.stderr);
    // A command with an explicit URL must be given the certificate, too.
    let named = with(&["health", "--url", &format!("https://{listen}")]);
    assert_eq!(named.status.code(), Some(1), "{}", named.stderr);
    program.stop();
}

#[test]
fn mistakes_with_the_files_are_found_before_anything_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    make_certificate(folder.path());
    let key = fs::read_to_string(folder.path().join("key.pem")).expect("it is there");
    fs::write(folder.path().join("other.pem"), &key).expect("it is written");
    make_certificate(folder.path());
    for (certificate, key, said) in [
        ("cert.pem", "", "set both LARDER_TLS_CERT and LARDER_TLS_KEY"),
        ("absent.pem", "key.pem", "absent.pem of LARDER_TLS_CERT"),
        ("key.pem", "key.pem", "key.pem of LARDER_TLS_CERT has no certificate"),
        ("cert.pem", "cert.pem", "cert.pem of LARDER_TLS_KEY has no key"),
        ("cert.pem", "other.pem", "cannot be used with the key in other.pem"),
    ] {
        for subcommand in ["check", "serve"] {
            let mut command = command(folder.path(), &[subcommand, "--listen", "127.0.0.1:0"]);
            command.env("LARDER_TLS_CERT", certificate).env("LARDER_TLS_KEY", key);
            let ended = run(command);
            assert!(!ended.status.success() && ended.stderr.contains(said), "{said}: {}", ended.stderr);
        }
    }
}

/// Puts a certificate that ends at `end` into the files of [`serve`].
fn make_certificate_until(folder: &Path, end: Timestamp) -> CertificateDer<'static> {
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = SystemTime::from(end).into();
    let key = rcgen::KeyPair::generate().expect("a key");
    let made = params.self_signed(&key).expect("a certificate");
    fs::write(folder.join("cert.pem"), made.pem()).expect("it is written");
    fs::write(folder.join("key.pem"), key.serialize_pem()).expect("it is written");
    made.der().clone()
}

#[test]
fn a_certificate_that_expires_is_warned_of_and_its_end_is_a_metric() {
    let folder = tempfile::tempdir().expect("a folder");
    let checked = || {
        let mut check = command(folder.path(), &["check"]);
        check.env("LARDER_TLS_CERT", "cert.pem").env("LARDER_TLS_KEY", "key.pem");
        let checked = run(check);
        assert!(checked.status.success(), "{}", checked.stderr);
        checked.stderr
    };
    make_certificate(folder.path());
    assert_eq!(checked(), "");
    let end = Timestamp::from_millis(SystemClock.now().as_millis() / 1000 * 1000).plus(Duration::from_hours(48));
    let certificate = make_certificate_until(folder.path(), end);
    assert!(checked().contains(&format!("warning: the certificate of LARDER_TLS_CERT expires at {end}")));
    let program = Program::start(serving(folder.path(), &[]));
    let mut stream = BufReader::new(connect(program.address, &[&certificate], &[]).expect("it is spoken"));
    let (status, head) = ask(&mut stream, "GET", "/metrics", b"");
    assert_eq!(status, 200, "{head}");
    let shown = format!("larder_tls_certificate_expiry_timestamp_seconds {}\n", end.as_millis() / 1000);
    let mut text = String::new();
    while !text.contains(&shown) {
        assert!(stream.read_line(&mut text).expect("a line") > 0, "{text}");
    }
    drop(stream);
    make_certificate_until(folder.path(), SystemClock.now().minus(Duration::from_hours(1)));
    assert!(checked().contains("has expired at"));
    program.signal(Signal::HUP);
    pause(Duration::from_millis(300));
    let ended = program.stop();
    for said in ["expires at", "has expired at"] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
}

#[test]
fn a_new_certificate_cuts_no_stream_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = make_certificate(folder.path());
    let program = Program::start(serving(folder.path(), &["--stall-timeout", "1h"]));
    let address = program.address;
    let mut stream = BufReader::new(connect(address, &[&old], &[]).expect("it is spoken"));
    let (status, head) = ask(&mut stream, "POST", "/v2/key-value-stores?name=streamed", b"");
    assert_eq!(status, 201, "{head}");
    let location = head.lines().find_map(|line| line.strip_prefix("location: ")).expect("a location");
    assert!(location.starts_with(&format!("https://{address}/")), "{location}");
    let path = format!("{}/records/big", location.split_once(&address.to_string()).expect("an address").1);
    let mut body = vec![0; RECORD_BYTES];
    Pattern { version: 1, length: RECORD_BYTES as u64 }.fill(0, &mut body);
    drop(stream);
    let mut stream = BufReader::new(connect(address, &[&old], &[]).expect("it is spoken"));
    assert_eq!(ask(&mut stream, "PUT", &path, &body).0, 201);
    let (begun, go_on) = (Barrier::new(READERS + 1), Barrier::new(READERS + 1));
    let new = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                let (old, path, body, begun, go_on) = (&old, &path, &body, &begun, &go_on);
                scope.spawn(move || {
                    let mut stream = BufReader::new(connect(address, &[old], &[]).expect("it is spoken"));
                    assert_eq!(ask(&mut stream, "GET", path, b"").0, 200);
                    let mut read = vec![0; body.len()];
                    let (first, rest) = read.split_at_mut(64 << 10);
                    stream.read_exact(first).expect("it streams");
                    begun.wait();
                    go_on.wait();
                    for part in rest.chunks_mut(1 << 20) {
                        stream.read_exact(part).expect("it still streams");
                        pause(Duration::from_millis(20));
                    }
                    assert!(read == *body, "what was read is another record");
                })
            })
            .collect();
        begun.wait();
        let new = make_certificate(folder.path());
        program.signal(Signal::HUP);
        until("the new certificate is shown", || connect(address, &[&new], &[]).is_ok());
        assert!(connect(address, &[&old], &[]).is_err(), "the old certificate is shown no more");
        go_on.wait();
        for reader in readers {
            reader.join().expect("it was not cut off");
        }
        new
    });
    fs::write(folder.path().join("key.pem"), "nonsense").expect("it is written");
    program.signal(Signal::HUP);
    let refused_at = now();
    while refused_at.elapsed() < Duration::from_secs(1) {
        connect(address, &[&new], &[]).expect("the certificate is what it was");
    }
    let ended = program.stop();
    assert!(ended.stderr.contains("key.pem of LARDER_TLS_KEY has no key"), "{}", ended.stderr);
    assert!(ended.stderr.contains("nothing was changed"), "{}", ended.stderr);
}

#[test]
fn the_key_stays_in_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    make_certificate(folder.path());
    let key = fs::read_to_string(folder.path().join("key.pem")).expect("it is there");
    let secret = key.lines().nth(1).expect("a line of it");
    let program = Program::start(serving(folder.path(), &["--log", "trace"]));
    program.signal(Signal::HUP);
    pause(Duration::from_millis(300));
    let ended = program.stop();
    assert!(!ended.stderr.contains(secret), "{}", ended.stderr);
}
