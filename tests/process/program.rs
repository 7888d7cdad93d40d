//! The program under test: starting it, asking it, ending it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    client::{Client, Upload},
    watcher::Watched,
};

/// Timeout for any step of a test.
pub const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// The token of programs that are given one.
pub const TOKEN: &str = "a-token-for-tests";

/// A running program.
pub struct Program {
    child: Watched,
    pub address: SocketAddr,
    /// Its output until it printed its address, and its output since.
    stdout: mpsc::Receiver<String>,
    greeting: Vec<String>,
    stderr: thread::JoinHandle<String>,
    /// Time from its start until it printed its address.
    pub start_time: Duration,
}

/// A program that ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<String>,
    pub stderr: String,
}

/// Returns the program with these arguments in `folder`, with nothing of Larder's in its environment.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(arguments).current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LARDER_") {
            command.env_remove(name);
        }
    }
    command
}

/// Returns a shell that runs `first`, mostly a limit, and then `command`, with its environment and in its folder.
pub fn behind(first: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{first}; exec \"$@\""), "sh"]).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

impl Program {
    /// Serves in `folder` on a free port, with [`TOKEN`].
    pub fn serve(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = command(folder, &["serve", "--listen", "127.0.0.1:0"]);
        command.args(arguments).env("LARDER_TOKEN", TOKEN);
        Self::start(command)
    }

    /// Starts `command` and waits until it has said where it listens.
    pub fn start(command: Command) -> Self {
        Self::try_start(command).unwrap_or_else(|errors| panic!("it ended or fell silent: {errors}"))
    }

    /// The same. Returns the program's errors if it ended or fell silent.
    pub fn try_start(mut command: Command) -> Result<Self, String> {
        let began = now();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut child = Watched::new(child);
        let stdout = child.stdout.take().expect("it is piped");
        let mut errors = child.stderr.take().expect("it is piped");
        let (lines, received) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let mut greeting = Vec::new();
        loop {
            let Ok(line) = received.recv_timeout(WAIT_TIMEOUT) else {
                drop(child);
                return Err(stderr.join().expect("its errors were read"));
            };
            let address = line.split("://").nth(1).and_then(|rest| rest.split('/').next()?.parse().ok());
            greeting.push(line);
            if let Some(address) = address {
                let start_time = began.elapsed();
                return Ok(Self { child, address, stdout: received, greeting, stderr, start_time });
            }
        }
    }

    /// Returns a new connection with [`TOKEN`].
    pub fn client(&self) -> Client {
        Client::connect(self.address, TOKEN).expect("it accepts")
    }

    /// Returns the path of the records of a named store, which is created if it is absent.
    pub fn records_of(&self, name: &str) -> String {
        let mut client = self.client();
        let path = format!("/v2/key-value-stores?name={name}");
        let answer = client.send("POST", &path, "application/json", Upload::None).expect("it answers");
        assert!(matches!(answer.status, 200 | 201), "{}", answer.status);
        let store: serde_json::Value = serde_json::from_str(&answer.text().expect("a body")).expect("JSON");
        let id = store["data"]["id"].as_str().expect("an id");
        format!("/v2/key-value-stores/{id}/records")
    }

    /// Its id as a process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns its peak memory, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the system tells");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1024
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).expect("an id");
        kill_process(id, signal).expect("it runs");
    }

    /// Asks it to stop, and waits for its end.
    pub fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Ends it at once, whatever it does.
    pub fn kill(self) -> Ended {
        self.signal(Signal::KILL);
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        let began = now();
        let status = loop {
            match self.child.try_wait().expect("it can be waited for") {
                Some(status) => break status,
                None if began.elapsed() > WAIT_TIMEOUT => {
                    let _ = self.child.kill();
                    panic!("it did not end: {}", self.stderr.join().expect("its errors were read"));
                }
                None => pause(Duration::from_millis(5)),
            }
        };
        let mut stdout = self.greeting;
        stdout.extend(self.stdout.iter());
        Ended { status, stdout, stderr: self.stderr.join().expect("its errors were read") }
    }
}

/// Runs a command that is expected to end by itself.
pub fn run(mut command: Command) -> Ended {
    let output = command.output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended {
        status: output.status,
        stdout: text(&output.stdout).lines().map(str::to_owned).collect(),
        stderr: text(&output.stderr),
    }
}

/// Waits until `condition` holds.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = now();
    while !condition() {
        assert!(began.elapsed() < WAIT_TIMEOUT, "{what}: not within {WAIT_TIMEOUT:?}");
        pause(Duration::from_millis(10));
    }
}

/// Lets time pass, for the program under test.
#[expect(clippy::disallowed_methods, reason = "another process's time cannot be injected")]
pub fn pause(time: Duration) {
    thread::sleep(time);
}

/// Returns the time, by the clock of the machine.
#[expect(clippy::disallowed_methods, reason = "another process's time cannot be injected")]
pub fn now() -> Instant {
    Instant::now()
}
