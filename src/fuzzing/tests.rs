//! Every target over its seeds and over variations of them.

use std::{fs, path::Path};

use proptest::test_runner::{Config, TestRunner};

use super::{Target, variation};

/// Number of variations of each target: all targets together take some seconds. `LARDER_FUZZ_CASES` overrides it.
const CASES: u32 = 400;

/// The slowest targets, each with its number of variations.
const SLOW: [(&str, u32); 4] = [("schema", 150), ("coding", 150), ("zip", 200), ("config_file", 200)];

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"))
}

/// Returns the seeds of a target, ordered by name.
fn seeds(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = folder().join("seeds").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no seeds", folder.display());
    paths.into_iter().map(|path| (path.display().to_string(), fs::read(&path).expect("it can be read"))).collect()
}

/// Runs a target, if this build has it.
fn tried(name: &str) {
    let Some(target) = super::TARGETS.iter().find(|target| target.name == name) else {
        // Some parsers belong to the S3 client.
        #[cfg(feature = "s3")]
        panic!("there is no target {name}");
        #[cfg(not(feature = "s3"))]
        return;
    };
    let seeds = seeds(target);
    for (path, bytes) in &seeds {
        println!("{path}");
        (target.check)(bytes);
    }
    #[expect(clippy::disallowed_methods, reason = "how long a test may take is no setting of the program")]
    let asked = std::env::var("LARDER_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok());
    let usual = SLOW.iter().find(|(slow, _)| *slow == name).map_or(CASES, |(_, cases)| *cases);
    let config = Config { cases: asked.unwrap_or(usual), failure_persistence: None, ..Config::default() };
    let strategy = variation::of(seeds.into_iter().map(|(_, bytes)| bytes).collect());
    let tried = TestRunner::new(config).run(&strategy, |bytes| {
        (target.check)(&bytes);
        Ok(())
    });
    if let Err(error) = tried {
        panic!("{name}: {error}");
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            tried(stringify!($name));
        })*

        #[test]
        fn every_target_is_tried_has_seeds_and_is_a_program() {
            let tried = [$(stringify!($name)),*];
            for target in super::TARGETS {
                assert!(tried.contains(&target.name), "{} is not tried", target.name);
            }
            let manifest = fs::read_to_string(folder().join("Cargo.toml")).expect("it can be read");
            for name in tried {
                let program = format!("fuzz_targets/{name}.rs");
                assert!(folder().join(&program).exists() && manifest.contains(&program), "{name} is no program");
            }
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
