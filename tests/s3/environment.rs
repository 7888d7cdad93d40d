//! Settings from the environment that AWS's own tools share: the address of the object store, the proxy on the way, and
//! keys that change while it serves. And a bucket in another region than the configured one.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use larder::{
    clock::{SystemClock, SystemRandom},
    storage::{
        ObjectStore, PutOptions,
        s3::{S3Options, S3Store},
    },
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use crate::{
    behind_proxy::stream,
    mock_minio::{Deviations, MockMinio},
    tiny::Client,
};

/// Time after which a wait has failed.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

const TOKEN: &str = "apify_api_for_tests";

/// Returns the program before the bucket `b-1`, with nothing in its environment but these variables and what every
/// gateway needs.
fn command(folder: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--s3-bucket", "b-1"]).current_dir(folder).env_clear();
    command.envs([("LARDER_TOKEN", TOKEN), ("LARDER_SECRET", "a secret"), ("AWS_EC2_METADATA_DISABLED", "true")]);
    command.env("HOME", folder).envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running program, until it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts it, and returns its origin, too.
    fn serve(mut command: Command) -> (Self, String) {
        let mut running = Self(command.stderr(Stdio::null()).spawn().expect("it starts"));
        let stdout = BufReader::new(running.0.stdout.take().expect("it is piped"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("http://")).expect("it says where it listens");
        // Its later output is read, too, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let origin = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an origin");
        (running, format!("http://{}", origin.trim()))
    }

    fn hang_up(&self) {
        let id = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).expect("an id");
        kill_process(id, Signal::HUP).expect("it runs");
    }
}

/// Starts the program, and returns the head of the first request that it sends to `listener`, which is refused: then it ends.
async fn first_request(listener: &TcpListener, mut command: Command) -> String {
    let mut running = Running(command.spawn().expect("it starts"));
    let asked = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.unwrap());
        }
        let refusal = b"HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        connection.write_all(refusal).await.unwrap();
        String::from_utf8(head).unwrap()
    };
    if let Ok(head) = timeout(WAIT_TIMEOUT, asked).await {
        return head;
    }
    running.0.kill().unwrap();
    let mut errors = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    panic!("it asks for nothing: {errors}");
}

#[tokio::test]
async fn the_object_store_is_where_the_environment_or_the_profile_says() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let closed = "http://127.0.0.1:9";
    let profile = folder.path().join("config");
    let profile = profile.to_str().unwrap();
    let of_profile = format!("[default]\nendpoint_url = {origin}\n");
    let of_service = format!(
        "[default]\nendpoint_url = {closed}\nservices = ours\n[services ours]\ns3 =\n  endpoint_url = {origin}\n"
    );
    let keys = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_CONFIG_FILE", profile)];
    for (variables, config) in [
        ([("AWS_ENDPOINT_URL_S3", origin.as_str()), ("AWS_ENDPOINT_URL", closed)], ""),
        ([("AWS_ENDPOINT_URL", origin.as_str()), ("AWS_REGION", "eu-north-1")], ""),
        ([("LARDER_S3_ENDPOINT", origin.as_str()), ("AWS_ENDPOINT_URL_S3", closed)], ""),
        ([("AWS_PROFILE", "default"), ("AWS_REGION", "eu-north-1")], of_profile.as_str()),
        ([("AWS_PROFILE", "default"), ("AWS_REGION", "eu-north-1")], of_service.as_str()),
    ] {
        fs::write(profile, config).unwrap();
        let head = first_request(&listener, command(folder.path(), &[&keys[..], &variables].concat())).await;
        assert!(head.starts_with("GET /b-1?list-type=2"), "{variables:?} {config}: {head}");
    }
}

#[tokio::test]
async fn the_object_store_is_asked_through_the_proxy_that_the_environment_names() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://user:s3cret@{}", listener.local_addr().unwrap());
    let keys = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    for (endpoint, variable, line) in [
        ("http://s3.invalid:9000", "HTTP_PROXY", "GET http://s3.invalid:9000/b-1?list-type=2"),
        ("https://s3.invalid", "https_proxy", "CONNECT s3.invalid:443 HTTP/1.1\r\n"),
    ] {
        let variables = [("LARDER_S3_ENDPOINT", endpoint), (variable, proxy.as_str())];
        let head = first_request(&listener, command(folder.path(), &[keys, variables].concat())).await;
        assert!(head.starts_with(line), "{head}");
        assert!(head.to_lowercase().contains("proxy-authorization: basic dxnlcjpzm2nyzxq=\r\n"), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_change_in_their_file_take_effect_when_they_are_refused_and_on_sighup() {
    let (folder, minio) = (tempfile::tempdir().unwrap(), MockMinio::start(Deviations::default()).await);
    let file = folder.path().join("credentials");
    let write = |id: &str| {
        fs::write(&file, format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = secret\n")).unwrap();
    };
    write("first");
    minio.deviate(|deviations| deviations.only_key = Some("first"));
    let endpoint = minio.endpoint();
    let file = file.to_str().unwrap();
    let variables = [("LARDER_S3_ENDPOINT", endpoint.as_str()), ("AWS_SHARED_CREDENTIALS_FILE", file)];
    let (gateway, origin) = Running::serve(command(folder.path(), &variables));
    let mut client = Client::open(&origin).await;
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "text/plain")];
    let made = client.ask_with("POST", "/v2/key-value-stores?name=one", &headers, b"").await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = "/v2/key-value-stores/admin~one/records/k";
    assert_eq!(client.ask_with("PUT", path, &headers, b"1").await.status, 201);

    write("second");
    minio.deviate(|deviations| deviations.only_key = Some("second"));
    let put = client.ask_with("PUT", path, &headers, b"2").await;
    assert_eq!((put.status, minio.last_key().as_str()), (201, "second"), "{}", put.text());

    // Both are good now: nothing but the signal says that there is another one.
    write("third");
    minio.deviate(|deviations| deviations.only_key = None);
    assert_eq!(client.ask_with("GET", path, &headers, b"").await.text(), "2");
    assert_eq!(minio.last_key(), "second");
    gateway.hang_up();
    let taken = async {
        while minio.last_key() != "third" {
            client.ask_with("GET", path, &headers, b"").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(WAIT_TIMEOUT, taken).await.expect("the keys are loaded anew");
}

#[tokio::test]
async fn a_bucket_in_another_region_is_found_by_every_operation() {
    let deviations = Deviations { region: Some("eu-north-1"), only_key: None, ..Deviations::default() };
    let minio = MockMinio::start(deviations).await;
    let options = S3Options {
        endpoint: Some(minio.endpoint().parse().unwrap()),
        region: Some("us-east-1".to_owned()),
        part_bytes: 5 << 20,
        ..S3Options::new("b-1")
    };
    let store = S3Store::open(options, Arc::new(SystemClock), Arc::new(SystemRandom)).await;
    let store = store.expect("the bucket is found");
    // Multipart: by the SDK.
    store.put("large", stream(&vec![7; 6 << 20], true), PutOptions::default()).await.unwrap();
    assert_eq!(store.head("large").await.unwrap().size, 6 << 20);
    store.delete_many(vec!["large".to_owned()]).await.unwrap();
    assert!(minio.keys("b-1").is_empty());
}
