//! Tests of every target over its seeds and over mutations of them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use proptest::test_runner::{Config, TestRunner};

use crate::{TARGETS, Target, mutation, target};

/// Number of mutations tried on each target: all targets together take some seconds. `LARDER_FUZZ_CASES` overrides it.
const CASES: u32 = 400;

/// The slowest targets, each with its number of mutations.
const SLOW: [(&str, u32); 4] = [("schema", 150), ("coding", 150), ("zip", 200), ("config_file", 200)];

/// Returns the folder with a folder of seeds for each target.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")
}

/// Returns the seeds of a target, ordered by name.
fn seeds(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = folder().join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no seeds", folder.display());
    paths.into_iter().map(|path| (path.display().to_string(), fs::read(&path).expect("it can be read"))).collect()
}

/// Runs a target over its seeds and over mutations of them.
fn check(name: &str) {
    let target = target(name).unwrap_or_else(|| panic!("there is no target {name}"));
    let seeds = seeds(target);
    for (path, bytes) in &seeds {
        println!("{path}");
        (target.check)(bytes);
    }
    #[expect(clippy::disallowed_methods, reason = "the duration of a test is no setting of the product")]
    let given = std::env::var("LARDER_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok());
    let default = SLOW.iter().find(|(slow, _)| *slow == name).map_or(CASES, |(_, cases)| *cases);
    let config = Config { cases: given.unwrap_or(default), failure_persistence: None, ..Config::default() };
    let strategy = mutation::of(seeds.into_iter().map(|(_, bytes)| bytes).collect());
    let outcome = TestRunner::new(config).run(&strategy, |bytes| {
        (target.check)(&bytes);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{name}: {error}");
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn every_target_is_tried_and_has_seeds() {
            let tried = BTreeSet::from([$(stringify!($name).to_owned()),*]);
            assert_eq!(TARGETS.iter().map(|target| target.name.to_owned()).collect::<BTreeSet<_>>(), tried);
            let entries = fs::read_dir(folder()).expect("it can be read");
            let names = entries.map(|entry| entry.expect("it can be read").file_name().into_string().expect("UTF-8"));
            assert_eq!(names.collect::<BTreeSet<_>>(), tried);
        }
    };
}

targets! {
    route query range conditions content json_body
    signature token scope user
    record_key key_range names layout document schema coding run
    index_line file_name file_names zip setting config_file
    answer chunks origin listing refusal validator lifecycle
}
