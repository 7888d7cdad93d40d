//! A Larder for the client drivers to drive: started on a free port with an empty folder, stopped as an operator would.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::shell;

/// Timeout for the start of the program, until it prints the address it listens on.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Timeout for the graceful end of the program.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Interval between two checks until then.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The token the drivers use. It guards an empty folder that is gone in a minute.
pub const TOKEN: &str = "drivers-token";

/// A running `larder serve`.
pub struct Server {
    child: Child,
    log: PathBuf,
    data: PathBuf,
    /// Address it listens on, as `http://address:port`.
    pub url: String,
}

impl Server {
    /// Starts the built program on a free port. `name` distinguishes its folder and log from others, and `settings` are
    /// the variables of its backend, if that is not the folder.
    ///
    /// # Errors
    /// Returns a message with the end of its log, when it does not listen within the limit.
    pub fn start(name: &str, settings: &[(&str, String)]) -> Result<Self, String> {
        let folder = shell::target().join("clients").join("served");
        let (data, log) = (folder.join(name), folder.join(format!("{name}.log")));
        if data.exists() {
            fs::remove_dir_all(&data).map_err(|error| format!("{} cannot be emptied: {error}", data.display()))?;
        }
        fs::create_dir_all(&folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
        let file = File::create(&log).map_err(|error| format!("{} cannot be made: {error}", log.display()))?;
        let again = file.try_clone().map_err(|error| format!("{} cannot be shared: {error}", log.display()))?;

        let mut command = Command::new(shell::target().join("debug").join("larder"));
        for (variable, _) in std::env::vars_os().filter(|(variable, _)| is_setting(&variable.to_string_lossy())) {
            command.env_remove(variable);
        }
        // In its own folder, so that a `larder.toml` at the root is not its configuration.
        command.arg("serve").current_dir(&folder).stdout(file).stderr(again);
        command.env("LARDER_LISTEN", "127.0.0.1:0").env("LARDER_TOKEN", TOKEN);
        if settings.is_empty() {
            command.env("LARDER_DATA", &data);
        }
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        let child = command.spawn().map_err(|error| format!("larder cannot be started: {error}"))?;
        let mut server = Self { child, log, data, url: String::new() };
        server.url = server.wait_until_it_listens()?;
        Ok(server)
    }

    fn wait_until_it_listens(&mut self) -> Result<String, String> {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            if let Some(address) = printed_address(&log)
                && TcpStream::connect(address).is_ok()
            {
                return Ok(format!("http://{address}"));
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("larder serve ended before it listened: {status}\n{}", self.end_of_log()));
            }
            sleep(POLL_INTERVAL);
        }
        Err(format!("larder serve did not say where it listens within {START_LIMIT:?}\n{}", self.end_of_log()))
    }

    /// Asks the program to end, as an operator does, and removes its folder.
    ///
    /// # Errors
    /// Returns a message when it does not end by itself within the limit, or not well.
    pub fn stop(mut self) -> Result<(), String> {
        shell::output("kill", &["-TERM", &self.child.id().to_string()])
            .ok_or_else(|| format!("larder serve is gone\n{}", self.end_of_log()))?;
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return self.remove_data(),
                Ok(Some(status)) => return Err(format!("larder serve ended with {status}\n{}", self.end_of_log())),
                Ok(None) => sleep(POLL_INTERVAL),
                Err(error) => return Err(format!("larder serve cannot be waited for: {error}")),
            }
        }
        Err(format!("larder serve did not end within {STOP_LIMIT:?} of SIGTERM\n{}", self.end_of_log()))
    }

    fn remove_data(&self) -> Result<(), String> {
        if !self.data.exists() {
            return Ok(());
        }
        fs::remove_dir_all(&self.data).map_err(|error| format!("{} cannot be removed: {error}", self.data.display()))
    }

    /// Returns the last lines that the program wrote.
    pub fn end_of_log(&self) -> String {
        shell::end_of_log(&self.log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` there is nothing left to kill, and both calls say so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns `true` if the program would take this variable for a setting: a developer's own are not for the tests.
pub fn is_setting(variable: &str) -> bool {
    variable.starts_with("LARDER_") || variable.starts_with("AWS_")
}

/// Returns the address behind the first whole `listens on http://` of a log.
fn printed_address(log: &str) -> Option<&str> {
    let rest = log.split_once("listens on http://")?.1;
    let end = rest.find(|sign: char| !(sign.is_ascii_alphanumeric() || ".:".contains(sign)))?;
    rest.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_once_its_line_goes_on() {
        assert_eq!(printed_address("Larder listens on http://127.0.0.1:4"), None);
        assert_eq!(printed_address("Larder listens on http://127.0.0.1:4711\n"), Some("127.0.0.1:4711"));
        let whole = "a bucket at http://127.0.0.1:9\nLarder listens on http://127.0.0.1:4711\nConsole: http://[::1]:1/";
        assert_eq!(printed_address(whole), Some("127.0.0.1:4711"));
        assert_eq!(printed_address("nothing yet"), None);
    }

    #[test]
    fn settings_of_the_person_who_tests_are_not_those_of_the_test() {
        assert!(is_setting("LARDER_DATA") && is_setting("AWS_REGION"));
        assert!(!is_setting("PATH"));
    }
}
