//! `larder run`: runs a command as the platform runs an Actor, with a run, a store for its input, and a token for both.
//!
//! The command is a supervised child process, which is started, watched and terminated.

use std::{
    ffi::{OsStr, OsString},
    io::{self, IsTerminal, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::{
    runtime,
    signal::unix::{Signal as Signals, SignalKind, signal},
    sync::mpsc as async_mpsc,
};

use crate::{
    clock::{Clock, SystemClock},
    config::ConfigSources,
};

use super::{
    api_connection::{ApiConnection, MissingFolder, ServerSession, Upload, path_segment},
    exit, output,
    records::{self, is_text, media_type, save},
};

/// Interval between heartbeats, whose responses may request the end of the run.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);

/// Maximum number of attempts to report the end of a run.
const MAX_ATTEMPTS: usize = 5;

/// Default name of an Actor whose folder has no usable name.
const DEFAULT_ACTOR_NAME: &str = "actor";

/// Variables that would direct an SDK elsewhere; they are not passed on to a command.
const EXCLUDED_VARIABLES: [&str; 3] =
    ["APIFY_LOCAL_STORAGE_DIR", "ACTOR_EVENTS_WEBSOCKET_URL", "APIFY_ACTOR_EVENTS_WS_URL"];

/// Prefixes of variables that hold settings and secrets of Larder and of the libraries that it uses.
const PRIVATE_PREFIXES: [&str; 2] = ["LARDER_", "AWS_"];

/// Interval between checks whether the program has ended.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Grace period between the request to end and the kill.
const KILL_GRACE_PERIOD: Duration = Duration::from_secs(20);

/// Arguments of `larder run`.
#[derive(Debug, clap::Args)]
pub(super) struct RunArguments {
    /// Name of the Actor [default: the name of the working folder]
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// File with the input, - for standard input; its extension determines the media type
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Timeout of the run [default: none]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// File for the OUTPUT record [default: print it if it is text]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Allow access to other stores: those that the run creates, and those with a name
    #[arg(long)]
    open_stores: bool,
    /// Pass this LARDER_ or AWS_ variable to the command, which gets none by default; repeatable
    #[arg(long, value_name = "NAME")]
    keep_env: Vec<OsString>,
    /// Command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Run in progress.
struct Run<'a> {
    api: &'a ApiConnection,
    arguments: &'a RunArguments,
    sources: &'a ConfigSources,
    id: String,
    actor: Value,
    store: String,
}

/// Runs a command; exits with its code.
pub(super) fn run(arguments: &RunArguments, url: Option<String>, sources: &ConfigSources) -> ExitCode {
    let session = match ServerSession::connect_or_spawn(url, sources, MissingFolder::Create) {
        Ok(session) => session,
        Err(code) => return code,
    };
    let code = Run::start(session.connection(), arguments, sources).and_then(Run::run_to_end);
    match (code, session.close()) {
        (Ok(code), Ok(())) => ExitCode::from(u8::try_from(code).unwrap_or(exit::FAILED)),
        (Err(error), _) | (_, Err(error)) => {
            output::print_error(&error);
            exit::failed()
        }
    }
}

impl<'a> Run<'a> {
    /// Creates the run, with its input.
    fn start(api: &'a ApiConnection, arguments: &'a RunArguments, sources: &'a ConfigSources) -> Result<Self, String> {
        let name = arguments.actor.clone().unwrap_or_else(folder_name);
        let timeout = arguments.timeout.map(|seconds| format!("&timeout={seconds}")).unwrap_or_default();
        let path = format!("/v2/acts/{}/runs?origin=CLI{timeout}", path_segment(&name));
        let made = match &arguments.input {
            None => api.upload("POST", &path, None)?,
            Some(input) => {
                let (mut source, length) = records::open(input)?;
                let content_type = media_type(input);
                let upload = Upload { content_type: &content_type, length, source: &mut source };
                api.upload("POST", &path, Some(upload))?
            }
        };
        let text = |member: &str| {
            made[member]
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| format!("invalid response from the server: no {member}"))
        };
        let run = Self {
            api,
            arguments,
            sources,
            id: text("id")?,
            actor: made["actId"].clone(),
            store: text("defaultKeyValueStoreId")?,
        };
        output::print_message(&format!("larder: run {} of {name} started, with store {}", run.id, run.store));
        Ok(run)
    }

    /// Runs the command until the run ends; returns the exit code.
    fn run_to_end(self) -> Result<i32, String> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start the async runtime: {error}"))?;
        let (code, end) = match runtime.block_on(self.run_command()) {
            Ok(ended) => ended,
            Err(error) => {
                output::print_error(&error);
                (i32::from(exit::FAILED), json!({ "status": "FAILED" }))
            }
        };
        let finished = runtime.block_on(self.finish(&end)).and_then(|ended| {
            let status = ended["status"].as_str().unwrap_or_default();
            output::print_message(&format!("larder: run {} ended as {status} with exit code {code}", self.id));
            self.deliver_output()
        });
        match finished {
            Ok(()) => Ok(code),
            // Errors of the command itself come first.
            Err(error) if code != 0 => {
                output::print_error(&error);
                Ok(code)
            }
            Err(error) => Err(error),
        }
    }

    /// Reports the end of the run, also to a server that is restarting.
    async fn finish(&self, end: &Value) -> Result<Value, String> {
        for _ in 1..MAX_ATTEMPTS {
            if let Ok(ended) = self.post("finish", end) {
                return Ok(ended);
            }
            SystemClock.sleep(HEARTBEAT_INTERVAL).await;
        }
        self.post("finish", end)
    }

    /// Runs the command until it has finally ended; returns its exit code, and the report of its end.
    async fn run_command(&self) -> Result<(i32, Value), String> {
        let mut signals = TerminationSignals::listen().map_err(|error| format!("cannot receive signals: {error}"))?;
        let limit = self.arguments.timeout.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        loop {
            let prepared = self.post("environment", &self.environment_request())?;
            let child = match ChildProcess::start(self.command(&prepared["environment"])) {
                Ok(child) => child,
                Err(error) => return Ok(not_started(&self.arguments.command[0], &error)),
            };
            let (sender, mut requests) = async_mpsc::channel(1);
            let (stop, stopped) = mpsc::channel();
            let heartbeats = self.spawn_heartbeats(&prepared["run"], sender, stopped);
            let waited = child.wait(&mut signals, &mut requests, limit).await;
            drop(stop);
            // A heartbeat in progress may finish on its own; its response is no longer needed.
            drop(heartbeats);
            let (status, reason) = waited.map_err(|error| format!("cannot wait for the command: {error}"))?;
            let code = exit_code(status);
            return Ok(match reason {
                ExitReason::Exited => (code, json!({ "exitCode": code })),
                ExitReason::Interrupted | ExitReason::Requested(StopRequest::Abort) => {
                    (code, json!({ "exitCode": code, "status": "ABORTED" }))
                }
                ExitReason::Requested(StopRequest::TimeOut) => {
                    (code, json!({ "exitCode": code, "status": "TIMED-OUT" }))
                }
                ExitReason::Requested(StopRequest::Restart) if self.is_same_actor()? => continue,
                ExitReason::Requested(StopRequest::Restart) => {
                    output::print_message(
                        "larder: cannot metamorph the run into another Actor: its command is unknown here",
                    );
                    (i32::from(exit::FAILED), json!({ "exitCode": code, "status": "FAILED" }))
                }
            });
        }
    }

    /// Sends heartbeats until `stopped`, and passes on requests to end the run.
    fn spawn_heartbeats(
        &self,
        before: &Value,
        requests: async_mpsc::Sender<StopRequest>,
        stopped: mpsc::Receiver<()>,
    ) -> thread::JoinHandle<()> {
        let (api, path) = (self.api.clone(), self.path("heartbeat"));
        let metamorphs = |run: &Value| run["metamorphs"].as_array().map_or(0, Vec::len);
        let before = metamorphs(before);
        thread::spawn(move || {
            while stopped.recv_timeout(HEARTBEAT_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                // Without a response the only option is to try again: the server ends a run that stays silent.
                let Ok(run) = api.call("POST", &path, None) else { continue };
                let request = match run["status"].as_str() {
                    Some("READY" | "RUNNING") if metamorphs(&run) > before => StopRequest::Restart,
                    Some("READY" | "RUNNING") | None => continue,
                    Some("TIMING-OUT" | "TIMED-OUT") => StopRequest::TimeOut,
                    Some(_) => StopRequest::Abort,
                };
                if requests.blocking_send(request).is_err() {
                    return;
                }
            }
        })
    }

    /// Returns whether the run continues as the same Actor, with another input.
    fn is_same_actor(&self) -> Result<bool, String> {
        let run = self.api.call("GET", &format!("/v2/actor-runs/{}", self.id), None)?;
        let last = run["metamorphs"].as_array().and_then(|all| all.last()).map(|last| last["actorId"].clone());
        Ok(last.is_none_or(|actor| actor == self.actor))
    }

    /// Returns the command with its environment.
    fn command(&self, variables: &Value) -> Command {
        let [program, arguments @ ..] = self.arguments.command.as_slice() else { return Command::new("") };
        let mut command = Command::new(program);
        command.args(arguments);
        for (name, _) in &self.sources.environment {
            if is_private_variable(name) && !self.arguments.keep_env.contains(name) {
                command.env_remove(name);
            }
        }
        for name in EXCLUDED_VARIABLES {
            command.env_remove(name);
        }
        let variables = variables.as_object().into_iter().flatten();
        command.envs(variables.filter_map(|(name, value)| Some((name, value.as_str()?))));
        command
    }

    /// Saves or prints the record OUTPUT, if there is one.
    fn deliver_output(&self) -> Result<(), String> {
        let record = format!("/v2/key-value-stores/{}/records/OUTPUT", self.store);
        let Some(found) = self.api.download(&record)? else { return Ok(()) };
        match &self.arguments.output {
            Some(path) => save(found, path).map_err(|error| format!("cannot write {}: {error}", path.display())),
            None if is_text(&found.content_type) => {
                let mut stdout = io::stdout().lock();
                let printed = found.save(&mut stdout).and_then(|()| stdout.write_all(b"\n"));
                printed.and_then(|()| stdout.flush()).map_err(|error| format!("cannot print OUTPUT: {error}"))
            }
            None => {
                output::print_message(&format!(
                    "larder: OUTPUT has type {}; save it with --output",
                    found.content_type
                ));
                Ok(())
            }
        }
    }

    fn environment_request(&self) -> Value {
        json!({ "openStores": self.arguments.open_stores, "apiBaseUrl": self.api.origin() })
    }

    fn post(&self, action: &str, body: &Value) -> Result<Value, String> {
        self.api.call("POST", &self.path(action), Some(body))
    }

    fn path(&self, action: &str) -> String {
        format!("/larder/v1/runs/{}/{action}", self.id)
    }
}

/// Returns the report for a command that could not be started, with the exit codes of shells.
fn not_started(command: &OsString, error: &io::Error) -> (i32, Value) {
    output::print_error(&format!("cannot start {}: {error}", command.display()));
    let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    (code, json!({ "exitCode": code }))
}

/// Returns the name of the working folder, if it is a valid name of an Actor.
fn folder_name() -> String {
    let folder = std::env::current_dir().ok();
    let name = folder.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    let name: String = name.chars().filter(|character| is_allowed(*character)).take(60).collect();
    if name.is_empty() { DEFAULT_ACTOR_NAME.to_owned() } else { name }
}

/// Request to end a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopRequest {
    /// Abort.
    Abort,
    /// The time limit has passed.
    TimeOut,
    /// Another program is to run in its place.
    Restart,
}

/// Reason for the end of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExitReason {
    /// It exited by itself.
    Exited,
    /// A signal arrived for it.
    Interrupted,
    /// It was requested to end.
    Requested(StopRequest),
}

/// Running program, in its own process group: a signal from the terminal arrives here, and is passed on once.
struct ChildProcess {
    child: Child,
    exit_reason: ExitReason,
    /// End of the grace period, by the monotonic clock.
    kill_at: Option<Duration>,
}

impl ChildProcess {
    /// Starts a command. The user at the terminal controls this process, not the command.
    fn start(mut command: Command) -> io::Result<Self> {
        command.process_group(0);
        if io::stdin().is_terminal() {
            command.stdin(Stdio::null());
        }
        Ok(Self { child: command.spawn()?, exit_reason: ExitReason::Exited, kill_at: None })
    }

    /// Waits for the program's end; passes signals on, and ends it at its time limit or on request.
    async fn wait(
        mut self,
        signals: &mut TerminationSignals,
        requests: &mut async_mpsc::Receiver<StopRequest>,
        limit: Option<Duration>,
    ) -> io::Result<(ExitStatus, ExitReason)> {
        let started_at = SystemClock.monotonic();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, self.exit_reason));
            }
            tokio::select! {
                () = SystemClock.sleep(EXIT_POLL_INTERVAL) => {}
                signal = signals.next() => self.interrupt(signal),
                Some(request) = requests.recv() => self.request_stop(request),
            }
            let now = SystemClock.monotonic();
            if limit.is_some_and(|limit| now.saturating_sub(started_at) >= limit) {
                self.request_stop(StopRequest::TimeOut);
            }
            if self.kill_at.is_some_and(|end| now >= end) {
                self.send(Signal::KILL);
            }
        }
    }

    /// Passes a signal on; a second signal means that the user does not want to wait.
    fn interrupt(&mut self, signal: Signal) {
        let is_second = self.exit_reason == ExitReason::Interrupted;
        self.exit_reason = ExitReason::Interrupted;
        self.send(if is_second { Signal::KILL } else { signal });
    }

    fn request_stop(&mut self, request: StopRequest) {
        if self.exit_reason == ExitReason::Exited {
            self.exit_reason = ExitReason::Requested(request);
            self.send(Signal::TERM);
            self.kill_at = Some(SystemClock.monotonic() + KILL_GRACE_PERIOD);
        }
    }

    /// Sends a signal to the program and its children. The program is not reaped yet, so its process id is still its
    /// own.
    fn send(&self, signal: Signal) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, signal);
        }
    }
}

/// Returns the exit code of a program as a shell reports it.
fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Signals by which users end a program.
struct TerminationSignals {
    interrupt: Signals,
    terminate: Signals,
    hang_up: Signals,
}

impl TerminationSignals {
    /// Begins to receive the signals.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hang_up.recv() => Signal::HUP,
        }
    }
}

/// Returns whether a variable of the environment is for this process alone, and not for programs that it starts.
fn is_private_variable(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    PRIVATE_PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_for_programs() {
        for own in ["LARDER_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
            assert!(is_private_variable(OsStr::new(own)), "{own}");
        }
        for other in ["PATH", "APIFY_TOKEN", "HTTPS_PROXY", "OTEL_EXPORTER_OTLP_HEADERS", "AWSOME", "larder_token"] {
            assert!(!is_private_variable(OsStr::new(other)), "{other}");
        }
    }
}
