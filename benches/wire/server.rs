//! The two servers: Larder's release program and the bare one, each a process of its own.

use std::{
    env,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{bare, figures::Outcome};

/// The token of the benchmark. It guards an empty folder that is gone in minutes.
pub const TOKEN: &str = "benchmark-token";

/// How long a server may take to answer while everything is set up.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Larder, as it starts without any configuration, with its data in `folder`.
    pub fn larder(folder: &Path) -> Outcome<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
        for (variable, _) in env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("LARDER_") || name.starts_with("AWS_") {
                command.env_remove(&variable);
            }
        }
        let log = folder.join("log");
        // In its own folder, so that nobody's `larder.toml` is its configuration.
        command.arg("serve").current_dir(folder).stderr(File::create(&log)?);
        command.env("LARDER_LISTEN", "127.0.0.1:0").env("LARDER_DATA", folder.join("data")).env("LARDER_TOKEN", TOKEN);
        Self::start(command).map_err(|error| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            format!("larder serve: {error}\n{log}").into()
        })
    }

    /// The bare server.
    pub fn bare() -> Outcome<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg(bare::ARGUMENT);
        Self::start(command)
    }

    fn start(mut command: Command) -> Outcome<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let printed = child.stdout.take();
        let unbound = SocketAddr::from(([127, 0, 0, 1], 0));
        // From here on whatever fails ends the child.
        let mut server = Self { child, address: unbound };
        let mut line = String::new();
        BufReader::new(printed.ok_or("it has no output")?).read_line(&mut line)?;
        let (_, address) = line.split_once("http://").ok_or("it ended before it said where it listens")?;
        server.address = address.trim_end().parse()?;
        Ok(server)
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Makes a store; its id.
    pub fn create_store(&self) -> Outcome<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        let address = self.address;
        let request = format!(
            "POST /v2/key-value-stores HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("the answer has no end of its head")?;
        let body: serde_json::Value = serde_json::from_str(body).map_err(|error| format!("{error}: {answer}"))?;
        let id = body.pointer("/data/id").and_then(serde_json::Value::as_str);
        Ok(id.ok_or_else(|| format!("the answer names no store: {answer}"))?.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing it has is kept, so that it need not end well; a server that has ended already is fine, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
