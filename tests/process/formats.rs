//! Data of a newer version of Larder: rejected at the start and by the doctor, with the version to use, and left alone.

use std::{path::Path, sync::Arc};

use larder::{
    clock::SystemClock,
    storage::{
        ByteStream, GetOptions, ObjectStore, PutOptions,
        embedded::{EmbeddedOptions, EmbeddedStore},
    },
};

use crate::{
    folder,
    program::{Program, command, run},
};

/// Object that names the format of everything.
const FORMAT: &str = "larder/format";

/// Format object of a version whose data this one must leave alone.
const NEWER: &[u8] = br#"{"format":99,"usableFrom":98,"writtenBy":"9.8.7"}"#;

async fn say(objects: &dyn ObjectStore, bytes: &'static [u8]) {
    objects
        .put(FORMAT, ByteStream::from(bytes::Bytes::from_static(bytes)), PutOptions::default())
        .await
        .expect("a write");
}

async fn said(objects: &dyn ObjectStore) -> Vec<u8> {
    let object = objects.get(FORMAT, GetOptions::default()).await.expect("it is there");
    object.body.into_bytes(1 << 20).await.expect("it is whole").to_vec()
}

fn open(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::open(&EmbeddedOptions::new(folder), Arc::new(SystemClock)).expect("the folder opens")
}

/// Both refuse, and say what to do.
fn is_refused(serve: std::process::Command, doctor: std::process::Command) {
    let refused = run(serve);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("format 99") && refused.stderr.contains("start Larder 9.8.7"),
        "{}",
        refused.stderr
    );
    let looked = run(doctor);
    let found = looked.stdout.iter().find(|line| line.contains(" format "));
    assert!(found.is_some_and(|line| line.starts_with("FAIL") && line.contains("9.8.7")), "{:?}", looked.stdout);
    assert_eq!(looked.status.code(), Some(1));
}

#[tokio::test]
async fn a_folder_with_objects_of_a_newer_version_is_refused_and_left_alone() {
    let work = tempfile::tempdir().expect("a folder");
    Program::serve(work.path(), &[]).stop();
    let data = folder::data(work.path());
    let objects = open(&data);
    assert!(String::from_utf8_lossy(&said(&objects).await).contains("\"format\":1"));
    say(&objects, NEWER).await;
    objects.close().await;
    drop(objects);
    is_refused(command(work.path(), &["serve", "--listen", "127.0.0.1:0"]), command(work.path(), &["doctor"]));
    assert_eq!(said(&open(&data)).await, NEWER);
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn a_bucket_of_a_newer_version_is_refused_and_left_alone() {
    use larder::{
        clock::SystemRandom,
        storage::s3::{S3Options, S3Store},
    };

    use crate::{
        bucket::{before_bucket, own_prefix, variable},
        program::TOKEN,
    };

    let work = tempfile::tempdir().expect("a folder");
    let prefix = own_prefix("newer");
    let of_bucket = |arguments: &[&str]| {
        let serve = before_bucket(work.path(), &prefix);
        let mut command = command(work.path(), arguments);
        command.args(["--s3-prefix", &prefix]).envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("LARDER_TOKEN", TOKEN).env("LARDER_SECRET", "of one").env("LARDER_LEADER", "self");
        command
    };
    Program::start(of_bucket(&["serve"])).stop();
    let options = S3Options {
        endpoint: Some(variable("LARDER_TEST_S3_ENDPOINT").parse().expect("an origin")),
        region: Some(variable("LARDER_TEST_S3_REGION")),
        prefix: format!("{prefix}/"),
        ..S3Options::new(variable("LARDER_TEST_S3_BUCKET"))
    };
    let objects =
        S3Store::open(options, Arc::new(SystemClock), Arc::new(SystemRandom)).await.expect("the bucket opens");
    assert!(String::from_utf8_lossy(&said(&objects).await).contains("\"format\":1"));
    say(&objects, NEWER).await;
    is_refused(of_bucket(&["serve"]), of_bucket(&["doctor"]));
    assert_eq!(said(&objects).await, NEWER);
}
