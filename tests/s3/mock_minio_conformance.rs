//! The mock of MinIO: like S3 by default, and each deviation by itself.

use futures_util::future::join_all;

use crate::{
    mock_minio::{Conflicts, Deviations, MockMinio},
    tiny::{Answer, Client},
};

/// The smallest part of an upload but the last, in bytes.
const PART: usize = 5 << 20;

/// One that has a bucket `b`, and a connection to it.
async fn start(deviations: Deviations) -> (MockMinio, Client) {
    let minio = MockMinio::start(deviations).await;
    let mut client = Client::open(&minio.endpoint()).await;
    assert_eq!(client.ask("PUT", "/b", b"").await.unwrap().status, 200);
    (minio, client)
}

async fn put(client: &mut Client, key: &str, headers: &[(&str, &str)]) -> Answer {
    client.ask_with("PUT", &format!("/b/{key}"), headers, key.as_bytes()).await
}

fn said(answer: &Answer) -> (u16, String) {
    let text = answer.text();
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    (answer.status, code.map(|(code, _)| code.to_owned()).unwrap_or_default())
}

async fn listed(client: &mut Client, query: &str) -> (Vec<String>, Option<String>) {
    let answer = client.ask("GET", &format!("/b?list-type=2&{query}"), b"").await.unwrap();
    assert_eq!(answer.status, 200);
    let text = answer.text();
    let all = |name: &str| -> Vec<String> {
        let start = format!("<{name}>");
        text.split(&start).skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    };
    (all("Key"), all("NextContinuationToken").pop())
}

#[tokio::test]
async fn objects_are_kept_with_their_headers_and_read_in_parts() {
    let (minio, mut client) = start(Deviations::default()).await;
    let headers = [("content-type", "text/plain"), ("x-amz-meta-a", "1")];
    let etag = client.ask_with("PUT", "/b/a%2Fb", &headers, b"a/b").await.header("etag").unwrap().to_owned();
    assert_eq!(minio.keys("b"), ["a/b"]);
    let got = client.ask_with("GET", "/b/a/b", &[("range", "bytes=1-")], b"").await;
    assert_eq!((got.status, got.text().as_str(), got.header("content-range")), (206, "/b", Some("bytes 1-2/3")));
    let head = client.ask("HEAD", "/b/a/b", b"").await.unwrap();
    let seen = ["content-length", "content-type", "x-amz-meta-a", "etag"].map(|name| head.header(name));
    assert_eq!(seen, [Some("3"), Some("text/plain"), Some("1"), Some(etag.as_str())]);
    for (header, value, status) in [
        ("if-none-match", etag.as_str(), 304),
        ("if-match", "\"other\"", 412),
        ("if-match", etag.as_str(), 200),
        ("range", "bytes=9-", 416),
    ] {
        assert_eq!(client.ask_with("GET", "/b/a/b", &[(header, value)], b"").await.status, status, "{header}");
    }
    let directive = ("x-amz-metadata-directive", "REPLACE");
    let copied = [("x-amz-copy-source", "/b/a%2Fb"), directive, ("content-type", "text/html")];
    assert_eq!(client.ask_with("PUT", "/b/copy", &copied, b"").await.status, 200);
    let copy = client.ask("GET", "/b/copy", b"").await.unwrap();
    assert_eq!(
        (copy.text().as_str(), copy.header("content-type"), copy.header("x-amz-meta-a")),
        ("a/b", Some("text/html"), None)
    );
    let many = b"<Delete><Object><Key>a/b</Key></Object><Object><Key>gone</Key></Object></Delete>";
    assert_eq!(client.ask("POST", "/b?delete", many).await.unwrap().text().matches("<Deleted>").count(), 2);
    assert_eq!(client.ask("DELETE", "/b/copy", b"").await.unwrap().status, 204);
    assert_eq!(said(&client.ask("GET", "/b/copy", b"").await.unwrap()), (404, "NoSuchKey".to_owned()));
    assert_eq!(said(&client.ask("PUT", "/other/a", b"").await.unwrap()), (404, "NoSuchBucket".to_owned()));
}

#[tokio::test]
async fn lists_go_on_behind_a_key_and_behind_a_token() {
    let (_minio, mut client) = start(Deviations::default()).await;
    for key in ["a", "b-1", "b-2", "b-3", "b/4", "c"] {
        put(&mut client, key, &[]).await;
    }
    assert_eq!(listed(&mut client, "prefix=b&start-after=b-1").await.0, ["b-2", "b-3", "b/4"]);
    let (page, token) = listed(&mut client, "prefix=b&max-keys=2&start-after=a").await;
    assert_eq!(page, ["b-1", "b-2"]);
    let (page, token) =
        listed(&mut client, &format!("prefix=b&max-keys=9&continuation-token={}", token.unwrap())).await;
    assert_eq!((page, token), (vec!["b-3".to_owned(), "b/4".to_owned()], None));
}

#[tokio::test]
async fn an_upload_in_parts_is_one_object_or_none() {
    let (minio, mut client) = start(Deviations::default()).await;
    let mut id = String::new();
    for _ in 0..2 {
        let begun = client.ask_with("POST", "/b/big?uploads", &[("content-type", "text/plain")], b"").await.text();
        id = begun.split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    }
    for (number, part) in [(1, vec![1; PART]), (2, vec![2; 3])] {
        let path = format!("/b/big?partNumber={number}&uploadId={id}");
        assert_eq!(client.ask("PUT", &path, &part).await.unwrap().status, 200);
    }
    assert_eq!((minio.keys("b").len(), minio.unfinished_uploads("b")), (0, 2));
    let parts = |numbers: &[u32]| {
        let parts = numbers.iter().map(|number| format!("<Part><PartNumber>{number}</PartNumber></Part>"));
        format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.collect::<String>())
    };
    let path = format!("/b/big?uploadId={id}");
    for (numbers, code) in [(&[2, 1][..], "EntityTooSmall"), (&[1, 3], "InvalidPart")] {
        let answer = client.ask("POST", &path, parts(numbers).as_bytes()).await.unwrap();
        assert_eq!(said(&answer), (400, code.to_owned()));
    }
    assert_eq!(client.ask("POST", &path, parts(&[1, 2]).as_bytes()).await.unwrap().status, 200);
    let head = client.ask("HEAD", "/b/big", b"").await.unwrap();
    assert_eq!(head.header("content-length"), Some((PART + 3).to_string().as_str()));
    assert_eq!(head.header("content-type"), Some("text/plain"));
    assert_eq!(client.ask("DELETE", "/b/big?uploadId=upload-1", b"").await.unwrap().status, 204);
    assert_eq!((minio.keys("b").len(), minio.unfinished_uploads("b")), (1, 0));
}

#[tokio::test]
async fn conditions_hold_and_of_many_who_create_an_object_one_wins() {
    let (minio, mut client) = start(Deviations::default()).await;
    assert_eq!(put(&mut client, "a", &[("if-match", "\"none\"")]).await.status, 404);
    let etag = put(&mut client, "a", &[("if-none-match", "*")]).await.header("etag").unwrap().to_owned();
    assert_eq!(put(&mut client, "a", &[("if-none-match", "*")]).await.status, 412);
    assert_eq!(put(&mut client, "a", &[("if-match", "\"stale\"")]).await.status, 412);
    for etag in [etag.as_str(), etag.trim_matches('"')] {
        assert_eq!(put(&mut client, "a", &[("if-match", etag)]).await.status, 200, "quoted or not");
    }
    assert_eq!(client.ask_with("DELETE", "/b/a", &[("if-match", "\"stale\"")], b"").await.status, 412);
    assert_eq!(client.ask_with("DELETE", "/b/a", &[("if-match", &etag)], b"").await.status, 204);
    let racers = (0..32).map(|_| async {
        let mut client = Client::open(&minio.endpoint()).await;
        put(&mut client, "raced", &[("if-none-match", "*")]).await.status
    });
    let statuses = join_all(racers).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 31, "{statuses:?}");
}

#[tokio::test]
async fn conditions_are_forgotten_where_releases_forgot_them() {
    let (minio, mut client) = start(Deviations::of_early_2025()).await;
    assert_eq!(put(&mut client, "a", &[("if-match", "\"none\"")]).await.status, 200);
    assert_eq!(put(&mut client, "a", &[("if-match", "\"stale\"")]).await.status, 412);
    assert_eq!(client.ask_with("DELETE", "/b/a", &[("if-match", "\"stale\"")], b"").await.status, 204);
    put(&mut client, "a", &[]).await;
    minio.deviate(|deviations| deviations.takes_star_for_a_validator = true);
    assert_eq!(put(&mut client, "a", &[("if-none-match", "*")]).await.status, 200);
    minio.deviate(|deviations| *deviations = Deviations { read_quorum_is_lost: true, ..Deviations::default() });
    assert_eq!(put(&mut client, "a", &[("if-none-match", "*")]).await.status, 200);
    assert_eq!(put(&mut client, "a", &[("if-match", "\"stale\"")]).await.status, 200);
    assert_eq!(said(&client.ask("GET", "/b/a", b"").await.unwrap()), (503, "SlowDownRead".to_owned()));
}

#[tokio::test]
async fn a_server_in_trouble_says_so_in_its_own_words() {
    let (minio, mut client) = start(Deviations::default()).await;
    put(&mut client, "a", &[]).await;
    minio.deviate(|deviations| (deviations.requests_before_ready, deviations.requests_before_calm) = (1, 1));
    for code in ["XMinioServerNotInitialized", "SlowDown"] {
        let answer = client.ask("GET", "/b/a", b"").await.unwrap();
        assert_eq!((said(&answer), answer.header("retry-after")), ((503, code.to_owned()), Some("120")));
    }
    assert_eq!(client.ask("GET", "/b/a", b"").await.unwrap().status, 200);
    minio.deviate(|deviations| deviations.is_full = true);
    assert_eq!(said(&put(&mut client, "c", &[]).await), (507, "XMinioStorageFull".to_owned()));
    minio.deviate(|deviations| deviations.write_quorum_is_lost = true);
    assert_eq!(said(&put(&mut client, "c", &[]).await), (503, "SlowDownWrite".to_owned()));
    assert_eq!(client.ask("GET", "/b/a", b"").await.unwrap().status, 200, "reads go on");
    assert_eq!(minio.keys("b"), ["a"]);
}

#[tokio::test]
async fn keys_that_are_no_paths_are_refused() {
    let (_minio, mut client) = start(Deviations::of_every_release()).await;
    let (longest, too_long) = (format!("k/{}", "k".repeat(255)), format!("k/{}", "k".repeat(256)));
    assert_eq!(put(&mut client, &longest, &[]).await.status, 200);
    for (key, code) in [
        ("a//b", "XMinioInvalidObjectName"),
        ("%2Fa", "XMinioInvalidObjectName"),
        (too_long.as_str(), "XMinioInvalidObjectName"),
        ("a/%2E%2E/b", "XMinioInvalidResourceName"),
        ("a/%2E", "XMinioInvalidResourceName"),
    ] {
        assert_eq!(said(&put(&mut client, key, &[]).await), (400, code.to_owned()), "{key}");
    }
    assert_eq!(said(&put(&mut client, &"a/".repeat(513), &[]).await), (400, "KeyTooLongError".to_owned()));
    assert_eq!(put(&mut client, "folder/", &[]).await.status, 200);
}

#[tokio::test]
async fn an_object_below_another_is_refused_or_hidden() {
    let (minio, mut client) = start(Deviations { conflicts: Conflicts::Refused, ..Deviations::default() }).await;
    put(&mut client, "a", &[]).await;
    assert_eq!(said(&put(&mut client, "a/b", &[]).await), (400, "XMinioParentIsObject".to_owned()));
    put(&mut client, "c/d", &[]).await;
    assert_eq!(said(&put(&mut client, "c", &[]).await), (409, "XMinioObjectExistsAsDirectory".to_owned()));
    minio.deviate(|deviations| deviations.conflicts = Conflicts::Hidden);
    put(&mut client, "a/b", &[]).await;
    assert_eq!(client.ask("GET", "/b/a/b", b"").await.unwrap().text(), "a/b");
    assert_eq!(listed(&mut client, "").await.0, ["a", "c/d"]);
    assert_eq!(listed(&mut client, "prefix=a/").await.0, Vec::<String>::new());
    assert_eq!(minio.keys("b"), ["a", "a/b", "c/d"]);
}

#[tokio::test]
async fn a_token_behind_a_key_that_is_not_there_leaves_one_out() {
    let (_minio, mut client) = start(Deviations::of_every_release()).await;
    for key in ["a", "b", "c", "d"] {
        put(&mut client, key, &[]).await;
    }
    for (start_after, expected) in [("0", vec!["d"]), ("", vec!["c", "d"])] {
        let (page, token) = listed(&mut client, &format!("max-keys=2&start-after={start_after}")).await;
        assert_eq!(page, ["a", "b"]);
        assert_eq!(listed(&mut client, &format!("continuation-token={}", token.unwrap())).await.0, expected);
    }
    assert_eq!(listed(&mut client, "start-after=b").await.0, ["c", "d"], "who gives the key itself misses nothing");
}
