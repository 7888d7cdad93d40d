//! Container files compared with the program: no container engine runs them here.

use std::{fs, path::Path, time::Duration};

use larder::{config::settings, server::ServerOptions};

use crate::program::{command, run};

/// The container files.
const FILES: [&str; 3] = ["deploy/Dockerfile", "docker-compose.yml", "deploy/compose/object-stores.yml"];

/// Other files that set the program's settings.
const OTHERS: [&str; 5] = [
    "deploy/helm/larder/values.yaml",
    "deploy/helm/larder/templates/_pod.tpl",
    "deploy/kubernetes/embedded.yaml",
    "deploy/kubernetes/gateways.yaml",
    "deploy/systemd/larder.service",
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_variable_in_what_deploys_it_is_a_setting() {
    let known: Vec<String> = settings().map(larder::config::Setting::variable).collect();
    let mut seen = 0;
    for file in FILES.into_iter().chain(OTHERS) {
        let text = read(file);
        let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        // A program without the object store has none of its settings.
        let is_told =
            |word: &&str| word.starts_with("LARDER_") && (cfg!(feature = "s3") || !word.starts_with("LARDER_S3_"));
        for variable in words.filter(is_told) {
            assert!(known.iter().any(|name| name == variable), "{file}: {variable}");
            seen += 1;
        }
    }
    assert!(seen >= 30, "{seen} variables were found");
}

#[test]
fn the_image_is_built_with_the_compiler_that_the_program_asks_for() {
    let manifest: toml::Table = read("Cargo.toml").parse().expect("a manifest");
    let version = manifest["workspace"]["package"]["rust-version"].as_str().expect("a version");
    assert!(read("deploy/Dockerfile").contains(&format!("FROM rust:{version}-slim-bookworm AS build")));
}

#[test]
fn the_container_serves_its_volume_without_privileges() {
    let dockerfile = read("deploy/Dockerfile");
    for line in
        ["LARDER_DATA=/data", "LARDER_LISTEN=0.0.0.0:8011", "VOLUME /data", "USER 65532:65532", "CMD [\"serve\"]"]
    {
        assert!(dockerfile.contains(line), "{line}");
    }
    let compose = read("docker-compose.yml");
    for line in ["larder-data:/data", "\"127.0.0.1:${HTTP_PORT:-8011}:${HTTP_PORT:-8011}\""] {
        assert!(compose.contains(line), "{line}");
    }
}

#[test]
fn a_container_is_given_longer_to_stop_than_a_drain_takes() {
    let compose = read("docker-compose.yml");
    let grace = compose.lines().find_map(|line| line.trim().strip_prefix("stop_grace_period: ")).expect("a period");
    let grace = Duration::from_secs(grace.trim_end_matches('s').parse().expect("seconds"));
    assert!(grace > ServerOptions::default().drain_timeout + Duration::from_secs(10));
}

#[test]
fn the_health_check_of_the_container_is_a_subcommand() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in FILES {
        assert!(read(file).contains("\"/usr/local/bin/larder\", \"health\"]"), "{file}");
    }
    assert!(run(command(folder.path(), &["health", "--help"])).status.success());
}
