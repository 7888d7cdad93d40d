//! `larder run`: runs a command as the platform runs an Actor, with a run, a store for its input, and a token for both.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{runtime, sync::mpsc as told};

use crate::{
    clock::{Clock, SystemClock},
    config::ConfigSources,
};

use super::{
    api_connection::{Door, MissingFolder, Target, Upload, segment},
    child_process::{Program, SignalsOfUsers, Told, Why, exit_code, is_own_variable},
    exit, output,
    records::{self, is_text, media_type, save},
};

/// Interval between heartbeats, whose responses may request the end of the run.
const BEAT: Duration = Duration::from_secs(3);

/// Maximum number of attempts to report the end of a run.
const MAX_TRIES: usize = 5;

/// Default name of an Actor whose folder has no usable name.
const NAMELESS: &str = "actor";

/// Variables that would direct an SDK elsewhere; they are not passed on to a command.
const LEADS_ELSEWHERE: [&str; 3] =
    ["APIFY_LOCAL_STORAGE_DIR", "ACTOR_EVENTS_WEBSOCKET_URL", "APIFY_ACTOR_EVENTS_WS_URL"];

/// What is run, and how.
#[derive(Debug, clap::Args)]
pub(super) struct RunArguments {
    /// Name of the Actor [default: the name of the folder]
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// File with its input, - for standard input; its ending tells the media type
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Time limit [default: none]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// File for the record OUTPUT [default: a text is printed]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Let it open other stores: those that it creates, and those with a name
    #[arg(long)]
    open_stores: bool,
    /// Pass on this LARDER_ or AWS_ variable, which the command does not get otherwise; may be repeated
    #[arg(long, value_name = "NAME")]
    keep_env: Vec<OsString>,
    /// Command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Run in progress.
struct Run<'a> {
    door: &'a Door,
    arguments: &'a RunArguments,
    sources: &'a ConfigSources,
    id: String,
    actor: Value,
    store: String,
}

/// Runs a command; exits with its code.
pub(super) fn run(arguments: &RunArguments, url: Option<String>, sources: &ConfigSources) -> ExitCode {
    let target = match Target::find(url, sources, MissingFolder::Create) {
        Ok(target) => target,
        Err(code) => return code,
    };
    let code = Run::start(target.door(), arguments, sources).and_then(Run::through);
    match (code, target.close()) {
        (Ok(code), Ok(())) => ExitCode::from(u8::try_from(code).unwrap_or(exit::FAILED)),
        (Err(error), _) | (_, Err(error)) => {
            output::print_error(&error);
            exit::failed()
        }
    }
}

impl<'a> Run<'a> {
    /// Creates the run, with its input.
    fn start(door: &'a Door, arguments: &'a RunArguments, sources: &'a ConfigSources) -> Result<Self, String> {
        let name = arguments.actor.clone().unwrap_or_else(name_of_folder);
        let timeout = arguments.timeout.map(|seconds| format!("&timeout={seconds}")).unwrap_or_default();
        let path = format!("/v2/acts/{}/runs?origin=CLI{timeout}", segment(&name));
        let made = match &arguments.input {
            None => door.send("POST", &path, None)?,
            Some(input) => {
                let (mut source, length) = records::open(input)?;
                let content_type = media_type(input);
                let upload = Upload { content_type: &content_type, length, source: &mut source };
                door.send("POST", &path, Some(upload))?
            }
        };
        let text =
            |member: &str| made[member].as_str().map(str::to_owned).ok_or_else(|| format!("no {member} was told"));
        let run = Self {
            door,
            arguments,
            sources,
            id: text("id")?,
            actor: made["actId"].clone(),
            store: text("defaultKeyValueStoreId")?,
        };
        output::complain(&format!("larder: run {} of {name}, with the store {}", run.id, run.store));
        Ok(run)
    }

    /// Runs the command until the run ends; returns the exit code.
    fn through(self) -> Result<i32, String> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("the runtime cannot be started: {error}"))?;
        let (code, end) = match runtime.block_on(self.watched()) {
            Ok(ended) => ended,
            Err(error) => {
                output::print_error(&error);
                (i32::from(exit::FAILED), json!({ "status": "FAILED" }))
            }
        };
        let told = runtime.block_on(self.finish(&end)).and_then(|ended| {
            let status = ended["status"].as_str().unwrap_or_default();
            output::complain(&format!("larder: run {} is {status}, with exit code {code}", self.id));
            self.hand_over_output()
        });
        match told {
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
        for _ in 1..MAX_TRIES {
            if let Ok(ended) = self.ask("finish", end) {
                return Ok(ended);
            }
            SystemClock.sleep(BEAT).await;
        }
        self.ask("finish", end)
    }

    /// Runs the command until it has finally ended; returns its exit code, and the report of its end.
    async fn watched(&self) -> Result<(i32, Value), String> {
        let mut signals = SignalsOfUsers::listen().map_err(|error| format!("signals cannot be waited for: {error}"))?;
        let limit = self.arguments.timeout.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        loop {
            let entered = self.ask("environment", &self.wishes())?;
            let program = match Program::start(self.command(&entered["environment"])) {
                Ok(program) => program,
                Err(error) => return Ok(not_started(&self.arguments.command[0], &error)),
            };
            let (sender, mut told) = told::channel(1);
            let (stop, stopped) = mpsc::channel();
            let beats = self.beats(&entered["run"], sender, stopped);
            let watched = program.watch(&mut signals, &mut told, limit).await;
            drop(stop);
            // A heartbeat in progress may finish on its own; its response is no longer needed.
            drop(beats);
            let (status, why) = watched.map_err(|error| format!("the command cannot be waited for: {error}"))?;
            let code = exit_code(status);
            return Ok(match why {
                Why::ByItself => (code, json!({ "exitCode": code })),
                Why::Interrupted | Why::Told(Told::Abort) => (code, json!({ "exitCode": code, "status": "ABORTED" })),
                Why::Told(Told::TimeOut) => (code, json!({ "exitCode": code, "status": "TIMED-OUT" })),
                Why::Told(Told::GiveWay) if self.is_still_itself()? => continue,
                Why::Told(Told::GiveWay) => {
                    output::complain("larder: the run is to become another Actor, whose command is not known here");
                    (i32::from(exit::FAILED), json!({ "exitCode": code, "status": "FAILED" }))
                }
            });
        }
    }

    /// Sends heartbeats until `stopped`, and passes on requests to end the run.
    fn beats(&self, before: &Value, told: told::Sender<Told>, stopped: mpsc::Receiver<()>) -> thread::JoinHandle<()> {
        let (door, path) = (self.door.clone(), self.path("heartbeat"));
        let became = |run: &Value| run["metamorphs"].as_array().map_or(0, Vec::len);
        let before = became(before);
        thread::spawn(move || {
            while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                // Without a response the only option is to try again: the server ends a run that stays silent.
                let Ok(run) = door.ask("POST", &path, None) else { continue };
                let wanted = match run["status"].as_str() {
                    Some("READY" | "RUNNING") if became(&run) > before => Told::GiveWay,
                    Some("READY" | "RUNNING") | None => continue,
                    Some("TIMING-OUT" | "TIMED-OUT") => Told::TimeOut,
                    Some(_) => Told::Abort,
                };
                if told.blocking_send(wanted).is_err() {
                    return;
                }
            }
        })
    }

    /// Returns whether the run continues as the same Actor, with another input.
    fn is_still_itself(&self) -> Result<bool, String> {
        let run = self.door.ask("GET", &format!("/v2/actor-runs/{}", self.id), None)?;
        let last = run["metamorphs"].as_array().and_then(|all| all.last()).map(|last| last["actorId"].clone());
        Ok(last.is_none_or(|actor| actor == self.actor))
    }

    /// Returns the command with its environment.
    fn command(&self, variables: &Value) -> Command {
        let [program, arguments @ ..] = self.arguments.command.as_slice() else { return Command::new("") };
        let mut command = Command::new(program);
        command.args(arguments);
        for (name, _) in &self.sources.environment {
            if is_own_variable(name) && !self.arguments.keep_env.contains(name) {
                command.env_remove(name);
            }
        }
        for name in LEADS_ELSEWHERE {
            command.env_remove(name);
        }
        let variables = variables.as_object().into_iter().flatten();
        command.envs(variables.filter_map(|(name, value)| Some((name, value.as_str()?))));
        command
    }

    /// Saves or prints the record OUTPUT, if there is one.
    fn hand_over_output(&self) -> Result<(), String> {
        let record = format!("/v2/key-value-stores/{}/records/OUTPUT", self.store);
        let Some(found) = self.door.fetch(&record)? else { return Ok(()) };
        match &self.arguments.output {
            Some(path) => save(found, path).map_err(|error| format!("{} cannot be written: {error}", path.display())),
            None if is_text(&found.content_type) => {
                let mut stdout = io::stdout().lock();
                let printed = found.save(&mut stdout).and_then(|()| stdout.write_all(b"\n"));
                printed.and_then(|()| stdout.flush()).map_err(|error| format!("OUTPUT cannot be printed: {error}"))
            }
            None => {
                output::complain(&format!("larder: OUTPUT is {}; --output saves it", found.content_type));
                Ok(())
            }
        }
    }

    fn wishes(&self) -> Value {
        json!({ "openStores": self.arguments.open_stores, "apiBaseUrl": self.door.origin() })
    }

    fn ask(&self, what: &str, body: &Value) -> Result<Value, String> {
        self.door.ask("POST", &self.path(what), Some(body))
    }

    fn path(&self, what: &str) -> String {
        format!("/larder/v1/runs/{}/{what}", self.id)
    }
}

/// Returns the report for a command that could not be started, with the exit codes of shells.
fn not_started(command: &OsString, error: &io::Error) -> (i32, Value) {
    output::print_error(&format!("{} cannot be started: {error}", command.display()));
    let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    (code, json!({ "exitCode": code }))
}

/// Returns the name of the working folder, if it is a valid name of an Actor.
fn name_of_folder() -> String {
    let folder = std::env::current_dir().ok();
    let name = folder.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    let name: String = name.chars().filter(|character| is_allowed(*character)).take(60).collect();
    if name.is_empty() { NAMELESS.to_owned() } else { name }
}
