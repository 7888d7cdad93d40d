//! nginx as Debian ships it, passing requests through as they come: the cheapest gateway there is that does nothing.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::report::Outcome;

/// Timeout for its start, until it listens.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Interval between two checks until then.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running nginx; it ends when this is dropped.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    /// Address it listens on.
    pub address: SocketAddr,
}

/// Returns the command that runs nginx in the foreground with `workers` before `store`, and where it will listen.
pub fn command(folder: &Path, workers: usize, store: SocketAddr) -> Outcome<(Command, SocketAddr)> {
    // An address of its own: what connects to others from 127.0.0.1 in the meantime does not take its port.
    let address = TcpListener::bind("127.0.0.2:0")?.local_addr()?;
    fs::create_dir_all(folder)?;
    let path = folder.join("nginx.conf");
    fs::write(&path, configuration(folder, workers, address, store)?)?;
    let mut command = Command::new("nginx");
    command.arg("-e").arg(folder.join("error.log")).arg("-p").arg(folder).arg("-c").arg(&path);
    Ok((command, address))
}

/// Debian's settings for the connections (`sendfile`, `tcp_nopush`), without logs, and with connections that stay open
/// on both variants. Responses are buffered, as by default. Request bodies are not: nginx would write a large one to the
/// disk as a whole before it sent the first byte.
fn configuration(folder: &Path, workers: usize, address: SocketAddr, store: SocketAddr) -> Outcome<String> {
    let folder = folder.display();
    // Started by root, nginx would switch to a user without access to the folder.
    let user = if fs::metadata("/proc/self")?.uid() == 0 { "user root;" } else { "" };
    Ok(format!(
        "{user}
daemon off;
worker_processes {workers};
pid \"{folder}/pid\";
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    client_body_temp_path \"{folder}/bodies\";
    proxy_temp_path \"{folder}/answers\";
    fastcgi_temp_path \"{folder}/fastcgi\";
    scgi_temp_path \"{folder}/scgi\";
    uwsgi_temp_path \"{folder}/uwsgi\";
    keepalive_requests 1000000000;
    client_max_body_size 0;
    upstream store {{
        server {store};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://store;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
        }}
    }}
}}
"
    ))
}

impl Nginx {
    /// Starts it in `folder`, its own, and waits until it listens.
    pub fn start(folder: &Path, workers: usize, store: SocketAddr) -> Outcome<Self> {
        let (command, address) = command(folder, workers, store)?;
        Self::run(command, address, &folder.join("error.log"))
    }

    /// Runs a command that becomes nginx at `address`, and waits until it listens.
    pub fn run(mut command: Command, address: SocketAddr, log: &Path) -> Outcome<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                let program = command.get_program().display();
                format!("{program} is missing; install it with: sudo apt-get install nginx-light valgrind")
            }
            _ => format!("{command:?}: {error}"),
        })?;
        let mut nginx = Self { child, address };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            if nginx.child.try_wait()?.is_some() || started.elapsed() > START_LIMIT {
                let log = fs::read_to_string(log).unwrap_or_default();
                return Err(format!("nginx does not listen at {address}\n{log}").into());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(nginx)
    }

    /// Returns the id of the process that was started.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the ids of its processes: the one that was started, and the workers.
    pub fn processes(&self) -> Outcome<Vec<u32>> {
        let id = self.child.id();
        let workers = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let workers: Vec<u32> = workers.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        if workers.is_empty() { Err("nginx has no workers".into()) } else { Ok([vec![id], workers].concat()) }
    }

    /// Waits until it has ended after it was asked to.
    pub fn wait(mut self) -> Outcome<()> {
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Asked, not killed: its workers would stay.
        if let Ok(None) = self.child.try_wait()
            && let Ok(id) = i32::try_from(self.child.id())
            && let Some(id) = rustix::process::Pid::from_raw(id)
        {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
