//! The object stores that tests run against: their installation, their start, and their address and keys.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{ceph, garage, seaweedfs};
use crate::server::is_setting;
use crate::shell;
use crate::supervisor::Supervised;

/// An object store that can be installed and started here.
pub struct Backend {
    /// Name in commands.
    pub name: &'static str,
    /// Installs it below a folder that is its own, unless that was done before.
    pub(super) install: fn(&Path) -> Result<(), String>,
    /// Variable in the environment of its start that makes a day of its lifecycle rules last ten seconds, if it has
    /// one.
    pub(super) short_days: Option<(&'static str, &'static str)>,
    /// Says how to start it: its program is below the first folder, its data go to the second, which is new.
    pub(super) launch: fn(&Path, &Path) -> Result<Launch, String>,
}

/// The one that every test run uses: installed in seconds, and with all conditional writes.
pub static SEAWEEDFS: Backend =
    Backend { name: "seaweedfs", install: seaweedfs::install, short_days: None, launch: seaweedfs::launch };

/// All of them.
pub static BACKENDS: [&Backend; 3] = [
    &SEAWEEDFS,
    &Backend {
        name: "ceph",
        install: ceph::install,
        short_days: Some(("CEPH_DAY_SECONDS", "10")),
        launch: ceph::launch,
    },
    &Backend { name: "garage", install: garage::install, short_days: None, launch: garage::launch },
];

impl Backend {
    fn folder(&self) -> PathBuf {
        shell::target().join("backends").join(self.name)
    }

    /// Installs it, unless that was done before.
    ///
    /// # Errors
    /// Returns a message with the command that helps where there is one.
    pub fn install(&self) -> Result<(), String> {
        (self.install)(&self.folder()).map_err(|error| format!("{}: {error}", self.name))
    }

    /// Starts it, empty, on free ports, and waits until it serves. It ends when the value is dropped, or this process ends.
    ///
    /// # Errors
    /// Returns a message with the end of its log.
    pub fn start(&self) -> Result<Running, String> {
        self.start_with(None)
    }

    /// The same with days of ten seconds, for lifecycle rules; `None` where there is no such thing.
    ///
    /// # Errors
    /// Returns a message with the end of its log.
    pub fn start_with_short_days(&self) -> Option<Result<Running, String>> {
        self.short_days.map(|variable| self.start_with(Some(variable)))
    }

    fn start_with(&self, variable: Option<(&str, &str)>) -> Result<Running, String> {
        println!("$ {}", self.name);
        let folder = self.folder();
        let data = folder.join(format!("data-{}", std::process::id()));
        let start = || -> Result<Running, String> {
            if data.exists() {
                fs::remove_dir_all(&data).map_err(|error| format!("{} cannot be emptied: {error}", data.display()))?;
            }
            fs::create_dir_all(&data).map_err(|error| format!("{} cannot be made: {error}", data.display()))?;
            let mut launch = (self.launch)(&folder, &data)?;
            launch.command.envs(variable);
            Running::start(launch, &data, folder.join("server.log"))
        };
        start().map_err(|error| format!("{}: {error}", self.name))
    }
}

/// Timeout for the start of a server, until it serves, on a machine that is busy with something else.
const START_TIMEOUT: Duration = Duration::from_mins(3);

/// Interval between two looks until then.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Launch of a backend: the command, and the readiness check.
pub struct Launch {
    /// The program, with its arguments and environment.
    pub command: Command,
    /// Returns `true` once it serves.
    pub is_ready: Box<dyn Fn() -> bool>,
    /// Its address and credentials once it runs.
    pub server: S3Server,
}

/// A running object store. Its data go when it goes; its log stays until the next start.
pub struct Running {
    supervised: Supervised,
    log: PathBuf,
    /// Its address and credentials.
    pub server: S3Server,
}

impl Running {
    /// Starts a server over `data`, a folder that exists, and waits until it serves.
    ///
    /// # Errors
    /// Returns a message with the end of its log, when it ends or does not serve within the limit.
    pub fn start(mut launch: Launch, data: &Path, log: PathBuf) -> Result<Self, String> {
        // Whatever another command writes to goes on being written to, without a name.
        let _ = fs::remove_file(&log);
        let file = File::create(&log).map_err(|error| format!("{} cannot be made: {error}", log.display()))?;
        for (variable, _) in std::env::vars_os().filter(|(variable, _)| is_setting(&variable.to_string_lossy())) {
            launch.command.env_remove(variable);
        }
        let supervised = Supervised::start(&launch.command, data, file)?;
        let mut running = Self { supervised, log, server: launch.server };
        let started = Instant::now();
        while !(launch.is_ready)() {
            if let Some(status) = running.supervised.ended() {
                return Err(format!("it ended before it served ({status})\n{}", running.end_of_log()));
            }
            if started.elapsed() > START_TIMEOUT {
                return Err(format!("it does not serve within {START_TIMEOUT:?}\n{}", running.end_of_log()));
            }
            sleep(POLL_INTERVAL);
        }
        println!("It serves at {} after {:.1} s.", running.server.endpoint, started.elapsed().as_secs_f64());
        Ok(running)
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> String {
        loop {
            if let Some(status) = self.supervised.ended() {
                return format!("it ended by itself ({status})\n{}", self.end_of_log());
            }
            sleep(POLL_INTERVAL);
        }
    }

    /// Returns the last lines that it wrote.
    pub fn end_of_log(&self) -> String {
        shell::end_of_log(&self.log)
    }
}

/// The bucket that tests share; each works under a prefix of its own, and whichever comes first makes it.
pub const BUCKET: &str = "larder-tests";

/// The region of servers that have none of their own.
pub const REGION: &str = "us-east-1";

/// An object store that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Server {
    /// Scheme, host and port.
    pub endpoint: String,
    /// Region that signatures name.
    pub region: String,
    /// A bucket of it.
    pub bucket: String,
    /// The name of its key.
    pub access_key: String,
    /// The key.
    pub secret_key: String,
}

impl S3Server {
    /// Returns the variables by which tests find it.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("LARDER_TEST_S3_ENDPOINT", self.endpoint.clone()),
            ("LARDER_TEST_S3_REGION", self.region.clone()),
            ("LARDER_TEST_S3_BUCKET", self.bucket.clone()),
        ];
        variables.extend(self.keys());
        variables
    }

    /// Returns the variables by which a Larder serves over it, its keys beginning with `prefix` if there is one.
    pub fn settings(&self, prefix: &str) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("LARDER_S3_ENDPOINT", self.endpoint.clone()),
            ("LARDER_S3_BUCKET", self.bucket.clone()),
            ("AWS_REGION", self.region.clone()),
        ];
        if !prefix.is_empty() {
            settings.push(("LARDER_S3_PREFIX", prefix.to_owned()));
        }
        settings.extend(self.keys());
        settings
    }

    fn keys(&self) -> [(&'static str, String); 2] {
        [("AWS_ACCESS_KEY_ID", self.access_key.clone()), ("AWS_SECRET_ACCESS_KEY", self.secret_key.clone())]
    }
}
