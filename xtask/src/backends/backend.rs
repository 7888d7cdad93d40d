//! The object stores that tests run against, and how one is started.

use std::fs;
use std::path::{Path, PathBuf};

use super::running::{Launch, Running};
use super::{ceph, garage, seaweedfs};
use crate::shell;

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
