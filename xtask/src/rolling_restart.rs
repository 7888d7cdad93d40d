//! Rolling restarts of two gateways behind a balancer, under the load of the official clients: nothing may be lost, with
//! the retries of clients and balancer off.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::backends::{SEAWEEDFS, free_ports};
use crate::clients;
use crate::server::{Server, TOKEN};
use crate::{shell, tools};

/// Number of restarts of each gateway.
const ROUNDS: usize = 3;

/// Time that a gateway still serves while it is not ready, before it stops; the balancer looks twice a second.
const DRAIN_DELAY: &str = "3s";

/// Time for the balancer to see that a gateway is back; the load goes on between two restarts.
const SETTLED: Duration = Duration::from_secs(3);

/// Timeout for the end of a load.
const END_LIMIT: Duration = Duration::from_mins(1);

/// Configuration of the balancer before the gateways: it retries nothing.
const BALANCER: &str = "\
defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
frontend clients
    bind 127.0.0.1:{front}
    default_backend gateways
backend gateways
    balance roundrobin
    option httpchk GET /health/ready
    http-check expect status 200
    default-server check inter 500ms fall 1 rise 1
    server one 127.0.0.1:{one}
    server two 127.0.0.1:{two}
";

/// A program that is ended with this value, however the test goes.
struct Helper {
    name: &'static str,
    child: Child,
}

impl Helper {
    fn start(name: &'static str, command: &mut Command) -> Result<Self, String> {
        let child = command.spawn().map_err(|error| format!("{name} cannot be started: {error}"))?;
        Ok(Self { name, child })
    }

    /// Lets a load come to its end; fails if it has lost anything.
    fn finish(mut self) -> Result<(), String> {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + END_LIMIT;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(_)) => return Err(format!("the load of {} has lost calls", self.name)),
                Ok(None) => sleep(Duration::from_millis(50)),
                Err(error) => return Err(format!("{} cannot be waited for: {error}", self.name)),
            }
        }
        Err(format!("the load of {} does not end", self.name))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes sure of the balancer.
///
/// # Errors
/// Returns a message with the command that installs it.
pub fn install() -> Result<(), String> {
    tools::need_haproxy()
}

/// Restarts each of two gateways a few times, under load.
///
/// # Errors
/// Returns a message when a call is lost or anything does not work.
pub fn run() -> Result<(), String> {
    let seaweedfs = SEAWEEDFS.start()?;
    let [front, one, two] = free_ports::<3>(0)?;
    let start = |name: &str, port: u16| {
        let mut settings = seaweedfs.server.settings(&format!("rolling-{}/", std::process::id()));
        settings.push(("LARDER_LISTEN", format!("127.0.0.1:{port}")));
        settings.push(("LARDER_DRAIN_DELAY", DRAIN_DELAY.to_owned()));
        settings.push(("LARDER_SECRET", "shared by both, and guards nothing".to_owned()));
        Server::start(name, &settings)
    };
    let gateways = [("rolling-one", one), ("rolling-two", two)];
    let mut running = Vec::new();
    for (name, port) in gateways {
        running.push(start(name, port)?);
    }
    let _balancer = Helper::start("haproxy", Command::new("haproxy").arg("-f").arg(configuration(front, one, two)?))?;
    sleep(SETTLED);
    let mut loads = Vec::new();
    for (name, mut command) in clients::loads() {
        let url = format!("http://127.0.0.1:{front}");
        command
            .env("LARDER_URL", url)
            .env("LARDER_TOKEN", TOKEN)
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1");
        loads.push(Helper::start(name, command.stdin(Stdio::piped()))?);
    }
    sleep(SETTLED);
    for round in 1..=ROUNDS {
        for (name, port) in gateways {
            println!("round {round}: {name} is restarted");
            running.remove(0).stop()?;
            running.push(start(name, port)?);
            sleep(SETTLED);
        }
    }
    for load in loads {
        load.finish()?;
    }
    running.into_iter().try_for_each(Server::stop)
}

fn configuration(front: u16, one: u16, two: u16) -> Result<PathBuf, String> {
    let path = shell::target().join("clients").join("served").join("haproxy.cfg");
    let ports = [("{front}", front), ("{one}", one), ("{two}", two)];
    let text = ports.iter().fold(BALANCER.to_owned(), |text, (name, port)| text.replace(name, &port.to_string()));
    fs::write(&path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    Ok(path)
}
