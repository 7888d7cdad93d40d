//! The program before a bucket of the object store that the environment names: two of them, what they share, what a crash
//! leaves, and what large records cost.

use std::{env, io::ErrorKind, net::TcpListener, path::Path, process::Command};

use crate::{
    client::{Client, Upload},
    large_records::{MAX_GROWTH, download, upload},
    pattern::Pattern,
    program::{Program, TOKEN, WAIT_TIMEOUT, command, now, pause, run},
    scale,
};

/// Number of concurrent readers of one large record, all of them stalled.
const SLOW_READERS: u64 = 64;

/// Maximum memory for one of them, in bytes.
const SLOW_READER_COST: u64 = 512 << 10;

#[expect(clippy::disallowed_methods, reason = "the environment says where to test, and is no configuration")]
pub fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run `cargo xtask test tests`, or `cargo xtask test-s3`, or see `cargo xtask backend`"
        )
    })
}

/// Returns the program before the bucket, all below `prefix`, as the leader where there has to be one.
pub fn before_bucket(folder: &Path, prefix: &str) -> Command {
    let mut command = command(folder, &["serve", "--s3-prefix", prefix]);
    command.env("LARDER_LISTEN", "127.0.0.1:0");
    command.env("LARDER_S3_ENDPOINT", variable("LARDER_TEST_S3_ENDPOINT"));
    command.env("LARDER_S3_REGION", variable("LARDER_TEST_S3_REGION"));
    command.env("LARDER_S3_BUCKET", variable("LARDER_TEST_S3_BUCKET"));
    command
}

/// Returns an unused prefix.
pub fn own_prefix(test: &str) -> String {
    let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is later").as_nanos();
    format!("{test}-{nanos}-{}", std::process::id())
}

/// Two gateways: equal ones, or a leader and one that passes on to it.
pub fn two_gateways(folder: &Path, prefix: &str) -> [Program; 2] {
    let shared = |mut command: Command| {
        command.env("LARDER_TOKEN", TOKEN).env("LARDER_SECRET", "shared by both");
        command
    };
    let mut first = shared(before_bucket(folder, prefix));
    let first = Program::start(std::mem::replace(first.env("LARDER_LEADER", "self"), Command::new("true")));
    let mut second = shared(before_bucket(folder, prefix));
    second.env("LARDER_LEADER", format!("http://{}", first.address));
    [first, Program::start(second)]
}

#[test]
fn twenty_tasks_through_two_gateways_that_ask_for_one_name_get_one_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateways = two_gateways(folder.path(), &own_prefix("name"));
    let answers: Vec<(u16, String)> = std::thread::scope(|scope| {
        let tasks: Vec<_> = (0..20)
            .map(|task| {
                let address = gateways[task % 2].address;
                scope.spawn(move || {
                    let mut client = Client::connect(address, TOKEN).expect("it listens");
                    let answer = client.send("POST", "/v2/key-value-stores?name=one", "", Upload::None);
                    let answer = answer.expect("it answers");
                    (answer.status, answer.text().expect("it is text"))
                })
            })
            .collect();
        tasks.into_iter().map(|task| task.join().expect("it does not panic")).collect()
    });
    let id = |text: &str| text.split("\"id\":\"").nth(1).expect("an id").split('"').next().map(str::to_owned);
    assert!(answers.iter().all(|(_, text)| id(text) == id(&answers[0].1)), "{answers:?}");
    assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 1, "{answers:?}");
    for gateway in gateways {
        assert!(gateway.stop().status.success());
    }
}

#[test]
fn what_one_gateway_changes_the_other_shows() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, other] = two_gateways(folder.path(), &own_prefix("shared"));
    let path = one.records_of("shelf");
    for (writer, reader, text) in [(&one, &other, "first"), (&other, &one, "second")] {
        let mut body = text.as_bytes();
        let upload = Upload::Known(body.len() as u64, &mut body);
        let put = writer.client().send("PUT", &format!("{path}/k"), "text/plain", upload).expect("it answers").status;
        assert_eq!(put, 201);
        let mut client = reader.client();
        let got = client.send("GET", &format!("{path}/k"), "", Upload::None).expect("it answers");
        assert_eq!(got.text().expect("it is text"), text);
    }
    let store = path.trim_end_matches("/records").to_owned();
    assert_eq!(other.client().send("DELETE", &store, "", Upload::None).expect("it answers").status, 204);
    let began = now();
    while one.client().send("GET", &store, "", Upload::None).expect("it answers").status != 404 {
        assert!(began.elapsed() < WAIT_TIMEOUT, "it is still there");
        pause(std::time::Duration::from_millis(100));
    }
    for gateway in [other, one] {
        assert!(gateway.stop().status.success());
    }
}

#[test]
fn the_first_gateway_makes_a_token_for_all_or_says_what_is_missing() {
    let (folder, prefix) = (tempfile::tempdir().expect("a folder"), own_prefix("token"));
    let first = run_to_its_greeting(folder.path(), &prefix);
    let second = run_to_its_greeting(folder.path(), &prefix);
    match (first, second) {
        (Ok(first), Ok(second)) => {
            assert_eq!(first.matches("larder_").count(), 1, "{first}");
            assert!(!second.contains("larder_") && second.contains("larder/auth/admin-token"), "{second}");
        }
        // Without conditional writes no gateway can make one token for all.
        (first, second) => {
            assert!(first.as_ref().is_err_and(|error| error.contains("LARDER_LEADER")), "{first:?}");
            assert!(second.is_err(), "{second:?}");
        }
    }
    assert!(!folder.path().join("larder-data").exists(), "nothing is kept in a folder");
}

/// Returns the output up to the greeting, or the error that prevents the start.
fn run_to_its_greeting(folder: &Path, prefix: &str) -> Result<String, String> {
    let mut check = before_bucket(folder, prefix);
    let child = check.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn();
    let mut child = child.expect("it starts");
    let began = now();
    while began.elapsed() < std::time::Duration::from_secs(8) {
        if child.try_wait().expect("it can be asked").is_some() {
            let ended = child.wait_with_output().expect("it ended");
            return Err(String::from_utf8_lossy(&ended.stderr).into_owned());
        }
        pause(std::time::Duration::from_millis(50));
    }
    let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM);
    let ended = child.wait_with_output().expect("it ended");
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

#[test]
fn a_gateway_that_is_killed_leaves_every_acknowledged_record_to_the_next() {
    let (folder, prefix) = (tempfile::tempdir().expect("a folder"), own_prefix("killed"));
    let serve = || {
        let mut command = before_bucket(folder.path(), &prefix);
        command.env("LARDER_TOKEN", TOKEN).env("LARDER_SECRET", "secret").env("LARDER_LEADER", "self");
        Program::start(command)
    };
    let gateway = serve();
    let path = gateway.records_of("kept");
    for number in 0..50_u64 {
        upload(
            &gateway,
            &format!("{path}/{number}"),
            Pattern { version: number, length: number * 5000 },
            number % 2 == 0,
        );
    }
    gateway.kill();
    let gateway = serve();
    for number in 0..50_u64 {
        download(&gateway, &format!("{path}/{number}"), Pattern { version: number, length: number * 5000 });
    }
    assert!(gateway.stop().status.success());
}

#[test]
fn large_records_and_slow_readers_cost_little_memory() {
    let (folder, prefix) = (tempfile::tempdir().expect("a folder"), own_prefix("big"));
    let configured = || {
        let mut command = before_bucket(folder.path(), &prefix);
        command.env("LARDER_TOKEN", TOKEN).env("LARDER_SECRET", "secret").env("LARDER_LEADER", "self");
        command
    };
    let gateway = Program::start(configured());
    let path = gateway.records_of("big");
    let small = Pattern { version: 1, length: 1 << 20 };
    upload(&gateway, &format!("{path}/small"), small, false);
    download(&gateway, &format!("{path}/small"), small);
    let before = gateway.peak_memory();
    let length = scale::big_record_bytes();
    for (version, is_chunked) in [(2, false), (3, true)] {
        let big = Pattern { version, length };
        upload(&gateway, &format!("{path}/big"), big, is_chunked);
        download(&gateway, &format!("{path}/big"), big);
        let growth = gateway.peak_memory() - before;
        println!("{length} bytes, chunked {is_chunked}: grown by {} KiB", growth >> 10);
        assert!(growth <= MAX_GROWTH, "grown by {growth} bytes");
    }
    assert!(gateway.stop().status.success());
    // Another gateway: memory that the uploads used and gave back would hide what a reader costs.
    let gateway = Program::start(configured());
    download(&gateway, &format!("{path}/small"), small);
    read_slowly(&gateway, &format!("{path}/big"));
    assert!(gateway.stop().status.success());
}

/// Starts many downloads, none of which reads on, and checks the memory that each costs.
#[expect(clippy::print_stdout, reason = "what it costs is worth knowing")]
fn read_slowly(gateway: &Program, path: &str) {
    let before = gateway.peak_memory();
    let mut readers = Vec::new();
    for _ in 0..SLOW_READERS {
        let mut client = gateway.client();
        client.begin("GET", path, "").expect("it is sent");
        readers.push(client);
    }
    pause(std::time::Duration::from_secs(3));
    let cost = gateway.peak_memory().saturating_sub(before) / SLOW_READERS;
    println!("a slow reader costs {} KiB", cost >> 10);
    assert!(cost <= SLOW_READER_COST, "{cost} bytes each");
}

#[test]
fn a_bucket_that_cannot_be_used_is_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = before_bucket(folder.path(), "refused");
    command.env("AWS_SECRET_ACCESS_KEY", "not-the-key-of-this-object-store-at-all");
    let ended = run(command);
    assert!(!ended.status.success());
    assert!(ended.stderr.contains(&variable("LARDER_TEST_S3_BUCKET")), "{}", ended.stderr);
    assert!(!ended.stderr.contains("not-the-key"), "{}", ended.stderr);
}

#[test]
fn before_a_server_that_is_not_of_aws_no_instance_is_asked_for_its_region() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = |why| TcpListener::bind("127.0.0.1:0").expect(why);
    let instance = listener("a port for what stands in for an instance");
    instance.set_nonblocking(true).expect("it is a socket");
    // No server listens there any more: the start ends once it has looked for keys and region.
    let unused = listener("a port").local_addr().expect("it is bound");
    let mut command = before_bucket(folder.path(), "nowhere");
    command.env("LARDER_S3_ENDPOINT", format!("http://{unused}"));
    for region in ["LARDER_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"] {
        command.env_remove(region);
    }
    command.env("AWS_CONFIG_FILE", folder.path().join("none"));
    let address = instance.local_addr().expect("it is bound");
    command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://{address}"));
    let ended = run(command);
    assert!(!ended.status.success());
    let asked = instance.accept();
    assert!(asked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "it was asked: {}", ended.stderr);
}
