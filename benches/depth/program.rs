//! Larder's release program, and the requests of one client to it over one connection.

use std::{
    env,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::figures::Outcome;

/// The token of the benchmark. It guards an empty folder that is gone in minutes.
const TOKEN: &str = "benchmark-token";

/// How long the program may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The program, serving the folder; it ends when this is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stream: BufReader<TcpStream>,
}

impl Program {
    /// Starts it over the engine in `data`.
    pub fn start(folder: &Path, data: &Path) -> Outcome<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
        for (variable, _) in env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("LARDER_") || name.starts_with("AWS_") {
                command.env_remove(&variable);
            }
        }
        let log = folder.join("log");
        command
            .arg("serve")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?);
        command.env("LARDER_LISTEN", "127.0.0.1:0").env("LARDER_DATA", data).env("LARDER_TOKEN", TOKEN);
        let mut child = command.spawn()?;
        let mut line = String::new();
        let printed = child.stdout.take().ok_or("it has no output")?;
        BufReader::new(printed).read_line(&mut line)?;
        let Some((_, address)) = line.split_once("http://") else {
            let _ = child.kill();
            return Err(format!("larder serve: {}", fs::read_to_string(&log).unwrap_or_default()).into());
        };
        let address: SocketAddr = address.trim_end().parse()?;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self { child, stream: BufReader::with_capacity(256 * 1024, stream) })
    }

    /// Makes a store; its id.
    pub fn create_store(&mut self) -> Outcome<String> {
        let (_, body) = self.ask("POST", "/v2/key-value-stores")?;
        let body: serde_json::Value = serde_json::from_slice(&body)?;
        let id = body.pointer("/data/id").and_then(serde_json::Value::as_str);
        Ok(id.ok_or("the answer names no store")?.to_owned())
    }

    /// Sends a request without a body; how long the answer took, and its body.
    pub fn ask(&mut self, method: &str, path: &str) -> Outcome<(Duration, Vec<u8>)> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 0\r\n\r\n"
        );
        let started = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut length, mut is_good) = (String::new(), 0, false);
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line.trim_end().is_empty() {
                break;
            }
            is_good |= line.starts_with("HTTP/1.1 20");
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let took = started.elapsed();
        if is_good { Ok((took, body)) } else { Err(format!("{path}: {}", String::from_utf8_lossy(&body)).into()) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Everything it was asked for is durable, so that it need not end well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
