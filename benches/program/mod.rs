//! Programs that benchmarks start: Larder's release program, and the servers it is compared with. All benchmarks
//! include this file.

use std::{
    env,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::report::Outcome;

/// The token of the benchmarks. It guards an empty folder that is gone in minutes.
pub const TOKEN: &str = "benchmark-token";

/// Timeout for a response of a server while everything is set up.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Program {
    /// Its process.
    pub child: Child,
    /// Address it listens on.
    pub address: SocketAddr,
}

/// Returns `larder serve` on a free port, in `folder`, with these settings and none from the environment of the
/// benchmark.
pub fn larder(folder: &Path, settings: &[(&str, &str)]) -> Command {
    larder_at(Path::new(env!("CARGO_BIN_EXE_larder")), folder, settings)
}

/// Returns the same for the build of Larder at `program`.
pub fn larder_at(program: &Path, folder: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    for (variable, _) in env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("LARDER_") || name.starts_with("AWS_") {
            command.env_remove(&variable);
        }
    }
    // It runs in its own folder, so that it finds no other `larder.toml`.
    command.arg("serve").current_dir(folder);
    command.env("LARDER_LISTEN", "127.0.0.1:0").env("LARDER_TOKEN", TOKEN);
    command.envs(settings.iter().copied());
    command
}

impl Program {
    /// Starts a program that first of all prints the address it listens on. Its other output goes to `log`.
    pub fn start(mut command: Command, log: &Path) -> Outcome<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(log)?);
        let mut child = command.spawn()?;
        let printed = child.stdout.take();
        let unbound = SocketAddr::from(([127, 0, 0, 1], 0));
        // From here on whatever fails ends the child.
        let mut program = Self { child, address: unbound };
        let mut line = String::new();
        BufReader::new(printed.ok_or("it has no output")?).read_line(&mut line)?;
        let Some((_, address)) = line.split_once("http://") else {
            let log = fs::read_to_string(log).unwrap_or_default();
            return Err(format!("{command:?} ended before it said where it listens\n{log}").into());
        };
        program.address = address.trim_end().parse()?;
        Ok(program)
    }

    /// Makes a store, if it is Larder; the store's id.
    pub fn create_store(&self) -> Outcome<String> {
        let answer = self.ask("POST", "/v2/key-value-stores", "")?;
        let id = answer.pointer("/data/id").and_then(serde_json::Value::as_str);
        Ok(id.ok_or_else(|| format!("the answer names no store: {answer}"))?.to_owned())
    }

    /// Makes a request with a JSON body, or none if it is empty, over a connection of its own; the answer's JSON.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Outcome<serde_json::Value> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        let (address, length) = (self.address, body.len());
        let content_type = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\n\
             {content_type}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer has no end of its head")?;
        if !head.starts_with("HTTP/1.1 20") {
            return Err(format!("{method} {path}: {answer}").into());
        }
        if body.is_empty() {
            return Ok(serde_json::Value::Null);
        }
        Ok(serde_json::from_str(body).map_err(|error| format!("{error}: {answer}"))?)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing it has is kept, so that it need not end well; a server that has ended already is fine, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
