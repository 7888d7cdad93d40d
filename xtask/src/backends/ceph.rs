//! Ceph's gateway for S3 (RGW) over a cluster of one node, in the version that the system's packages have.

use std::path::Path;
use std::process::Command;

use super::backend::{BUCKET, Launch, REGION, S3Server};
use super::network::{self, free_ports};
use crate::{shell, tools};

/// Script that starts the cluster, and explains how.
const START: &str = "xtask/src/backends/start_ceph.sh";

const PACKAGES: [&str; 5] = ["radosgw", "ceph-mon", "ceph-osd", "ceph-mgr", "ceph-common"];

/// The programs of those packages that the start needs.
const PROGRAMS: [&str; 6] = ["radosgw", "ceph-mon", "ceph-osd", "ceph-mgr", "ceph", "ceph-authtool"];

const ACCESS_KEY: &str = "larder-tests";
const SECRET_KEY: &str = "guards-nothing-but-tests";

/// Makes sure of the packages. They are the system's, so nothing goes below the folder but data.
///
/// # Errors
/// Returns a message with the command that installs them.
pub fn install(_folder: &Path) -> Result<(), String> {
    let missing = || PROGRAMS.into_iter().find(|program| !shell::is_successful(program, &["--version"]));
    if missing().is_some() {
        tools::install_packages(&PACKAGES);
    }
    match missing() {
        None => Ok(()),
        Some(program) => Err(format!(
            "{program} is missing; install Ceph with: apt-get install --no-install-recommends {}",
            PACKAGES.join(" ")
        )),
    }
}

/// Returns its launch.
///
/// # Errors
/// Returns a message when there are no free ports.
pub fn launch(_folder: &Path, data: &Path) -> Result<Launch, String> {
    let [gateway, monitor, monitor_v1] = free_ports(0)?;
    let mut command = Command::new("bash");
    command.arg(shell::root().join(START)).arg(data);
    command.args([gateway, monitor, monitor_v1].map(|port| port.to_string()));
    command.args([ACCESS_KEY, SECRET_KEY]);
    Ok(Launch {
        command,
        is_ready: Box::new(move || network::status(gateway, "/").is_some_and(|status| status < 500)),
        server: S3Server {
            endpoint: format!("http://127.0.0.1:{gateway}"),
            region: REGION.to_owned(),
            bucket: BUCKET.to_owned(),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
        },
    })
}
