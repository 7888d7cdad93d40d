//! The server that commands of administration talk to: a given one, the one that runs with this configuration, or, if none
//! does, one of their own for as long as they take.

use std::{fmt::Display, process::ExitCode, thread};

use serde_json::Value;
use tokio::{runtime, sync::oneshot};

use crate::{
    config::{Config, Given, KeeperSetting, load},
    gateway::{AdminToken, Gateway},
    server::TlsFiles,
    storage::embedded::FolderStanding,
    telemetry::AccessLogSetting,
    transfer::Api,
};

use super::{
    exit,
    http::{Download, Question, Server, Upload},
    output,
};

/// A server, and a token that it knows.
pub(super) struct Target {
    door: Door,
    /// Ends the server of our own.
    own: Option<Own>,
}

/// Where a server is, and a token that it knows.
#[derive(Clone)]
pub(super) struct Door {
    server: Server,
    token: String,
}

/// A server of our own.
struct Own {
    stop: oneshot::Sender<()>,
    ended: thread::JoinHandle<Result<(), String>>,
}

/// What becomes of a data folder that is not there, where no server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MissingFolder {
    /// It is made: the command writes something.
    Create,
    /// The command fails: nothing is made by a look, or by a change of what cannot be there.
    Refuse,
}

impl Target {
    /// The server at `url`, at `LARDER_URL`, or by the configuration. What stands in the way has been said when it fails.
    pub(super) fn find(url: Option<String>, given: &Given, missing: MissingFolder) -> Result<Self, ExitCode> {
        let loaded = load(given).map_err(|problems| {
            output::print_error(&problems.to_string());
            exit::wrong_settings()
        })?;
        let config = loaded.config;
        let token = config.token.clone().or_else(|| AdminToken::kept_in(&config.data));
        let url = url.or_else(|| given.variable("LARDER_URL").map(str::to_owned));
        let told = |error: String| {
            output::print_error(&error);
            exit::wrong_settings()
        };
        let Some(url) = url else {
            let server = Server::of(&config).map_err(told)?;
            let is_up = server.ask(Question { method: "GET", target: "/health/live", token: None }, None);
            return match (is_up, token) {
                (Ok((200, _)), Some(token)) => {
                    Ok(Self { door: Door { server, token: token.reveal().to_owned() }, own: None })
                }
                (Ok((200, _)), None) => Err(no_token()),
                (Ok(_) | Err(_), _) => {
                    if missing == MissingFolder::Refuse {
                        require_data(&config, &server.origin)?;
                    }
                    Self::own(config, given)
                }
            };
        };
        let (server, token) = (Server::at(&url, given).map_err(told)?, token.ok_or_else(no_token)?);
        Ok(Self { door: Door { server, token: token.reveal().to_owned() }, own: None })
    }

    /// A server of our own over the same backend, which nobody else can reach.
    fn own(mut config: Config, given: &Given) -> Result<Self, ExitCode> {
        if config.keeper == Some(KeeperSetting::Itself) {
            output::print_error(
                "no server answers, and the keeper may run elsewhere: name it by --url (there must not be two)",
            );
            return Err(exit::failed());
        }
        config.server.listen = ([127, 0, 0, 1], 0).into();
        config.server.tls = TlsFiles::default();
        config.telemetry.access_log = Some(AccessLogSetting::Off);
        let (stop, stopped) = oneshot::channel();
        let (opened, opening) = std::sync::mpsc::channel();
        let ended = thread::spawn(move || serve(config, &opened, stopped));
        if let Ok((authority, token)) = opening.recv() {
            let server = Server::at(&format!("http://{authority}"), given).map_err(|error| {
                output::print_error(&error);
                exit::wrong_settings()
            })?;
            return Ok(Self { door: Door { server, token }, own: Some(Own { stop, ended }) });
        }
        let error = ended.join().map_or_else(|_| Some("it failed".to_owned()), Result::err).unwrap_or_default();
        output::print_error(&format!("no server answers, and none can be started here: {error}"));
        Err(exit::failed())
    }

    /// The server's API, for more than a question.
    pub(super) fn api(&self) -> Api {
        Api::new(self.door.server.agent.clone(), self.door.origin(), &self.door.token)
    }

    /// Asks; the `data` of the answer, or in words why there is none.
    pub(super) fn ask(&self, method: &str, target: &str, body: Option<&Value>) -> Result<Value, String> {
        self.door.ask(method, target, body)
    }

    /// The way to the server.
    pub(super) fn door(&self) -> &Door {
        &self.door
    }

    /// Ends the server of our own, once everything is written down.
    pub(super) fn close(self) -> Result<(), String> {
        let Some(Own { stop, ended }) = self.own else { return Ok(()) };
        let _ = stop.send(());
        ended.join().map_err(|_| "the server failed".to_owned())?
    }
}

impl Door {
    /// What links to the server begin with, as this machine reaches it.
    pub(super) fn origin(&self) -> &str {
        &self.server.origin
    }

    /// Asks; the `data` of the answer, or in words why there is none.
    pub(super) fn ask(&self, method: &str, target: &str, body: Option<&Value>) -> Result<Value, String> {
        let body = body.map(Value::to_string);
        self.data(self.server.ask(self.question(method, target), body.as_deref()))
    }

    /// Sends a body as it is read; the `data` of the answer, or in words why there is none.
    pub(super) fn send(&self, method: &str, target: &str, upload: Option<Upload<'_>>) -> Result<Value, String> {
        let answer = self.server.exchange(self.question(method, target), upload);
        self.data(answer.and_then(|answer| Ok((answer.status, answer.text()?))))
    }

    /// A record, its bytes still to be read; `None` if there is none.
    pub(super) fn fetch(&self, target: &str) -> Result<Option<Download>, String> {
        let answer = self.server.exchange(self.question("GET", target), None);
        match answer {
            Ok(answer) if answer.status == 200 => Ok(Some(answer)),
            Ok(answer) if answer.status == 404 => Ok(None),
            answer => {
                let told = answer.and_then(|answer| Ok((answer.status, answer.text()?)));
                self.data(told).map(|_| None)
            }
        }
    }

    fn question<'a>(&'a self, method: &'a str, target: &'a str) -> Question<'a> {
        Question { method, target, token: Some(&self.token) }
    }

    fn data<E: Display>(&self, told: Result<(u16, String), E>) -> Result<Value, String> {
        let (status, answer) = told.map_err(|error| format!("no answer from {}: {error}", self.server.origin))?;
        let mut answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        if (200..300).contains(&status) {
            return Ok(answer["data"].take());
        }
        Err(answer["error"]["message"].as_str().map_or_else(|| format!("status {status}"), str::to_owned))
    }
}

fn serve(
    config: Config,
    opened: &std::sync::mpsc::Sender<(String, String)>,
    stopped: oneshot::Receiver<()>,
) -> Result<(), String> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| output::whole(&error))?;
    runtime.block_on(async {
        let gateway = Box::pin(Gateway::open(config)).await.map_err(|error| output::whole(&error))?;
        let token = gateway.admin_token().token.reveal().to_owned();
        let _ = opened.send((gateway.local_addr().to_string(), token));
        let stopped = async {
            let _ = stopped.await;
        };
        gateway.run(stopped).await.map_err(|error| output::whole(&error))
    })
}

/// Refuses a data folder in which there is nothing yet.
fn require_data(config: &Config, origin: &str) -> Result<(), ExitCode> {
    if config.has_bucket() || FolderStanding::of(&config.data).is_ok_and(|standing| standing.format.is_some()) {
        return Ok(());
    }
    output::print_error(&format!(
        "no server answers at {origin}, and there is no data in the folder {}: start `larder serve`, or name another server by --url or \
         another folder by --data",
        config.data.display()
    ));
    Err(exit::failed())
}

fn no_token() -> ExitCode {
    output::print_error("a token is needed: set LARDER_TOKEN");
    exit::wrong_settings()
}
