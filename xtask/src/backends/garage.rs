//! Garage, as a single node. Only its source is in a registry: installing it compiles for a quarter of an hour.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::backend::{BUCKET, Launch, S3Server};
use super::network::{self, free_ports};
use crate::{packages, shell};

const VERSION: &str = "2.5.0";

/// Both of its databases, built in; nothing of its metrics, tracing and second API.
const FEATURES: &str = "lmdb,sqlite,bundled-libs";

/// Region that signatures have to name.
const REGION: &str = "garage";

/// It wants keys of this form: GK and 24 hexadecimal digits, and 64 of them.
const ACCESS_KEY: &str = "GK6c61726465722d7465737473";
const SECRET_KEY: &str = "6775617264732d6e6f7468696e672d6275742d6c6172646572732d7465737473";

/// Compiles it.
///
/// # Errors
/// Returns a message when cargo cannot.
pub fn install(folder: &Path) -> Result<(), String> {
    let build = folder.join("build");
    packages::install_once(format!("{VERSION} {FEATURES}").as_bytes(), folder, || {
        println!("Compiling Garage takes 30 minutes of one processor; this happens once.");
        let mut cargo = shell::cargo(&["install", "garage", "--version", VERSION, "--locked", "--force"]);
        cargo.args(["--no-default-features", "--features", FEATURES, "--root"]).arg(folder);
        shell::run(cargo.env("CARGO_TARGET_DIR", &build))
    })?;
    if build.exists() {
        fs::remove_dir_all(&build).map_err(|error| format!("{} cannot be removed: {error}", build.display()))?;
    }
    Ok(())
}

/// Returns its launch.
///
/// # Errors
/// Returns a message when there are no free ports or its configuration cannot be written.
pub fn launch(folder: &Path, data: &Path) -> Result<Launch, String> {
    let [s3, rpc] = free_ports(0)?;
    let configuration = data.join("garage.toml");
    fs::write(&configuration, configured(data, s3, rpc))
        .map_err(|error| format!("{} cannot be written: {error}", configuration.display()))?;
    let mut command = Command::new(folder.join("bin").join("garage"));
    command.arg("-c").arg(&configuration).args(["server", "--single-node", "--default-bucket"]);
    command.env("GARAGE_DEFAULT_ACCESS_KEY", ACCESS_KEY).env("GARAGE_DEFAULT_SECRET_KEY", SECRET_KEY);
    command.env("GARAGE_DEFAULT_BUCKET", BUCKET);
    // Not a line for each request.
    command.env("RUST_LOG", "warn");
    Ok(Launch {
        command,
        is_ready: Box::new(move || network::status(s3, "/").is_some_and(|status| status < 500)),
        server: S3Server {
            endpoint: format!("http://127.0.0.1:{s3}"),
            region: REGION.to_owned(),
            bucket: BUCKET.to_owned(),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
        },
    })
}

fn configured(data: &Path, s3: u16, rpc: u16) -> String {
    let data = data.display();
    format!(
        r#"metadata_dir = "{data}/meta"
data_dir = "{data}/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc}"
rpc_public_addr = "127.0.0.1:{rpc}"
rpc_secret = "{SECRET_KEY}"

[s3_api]
s3_region = "{REGION}"
api_bind_addr = "127.0.0.1:{s3}"
"#
    )
}
