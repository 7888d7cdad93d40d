//! The gateways that a history is made on: killed, paused and started again while they serve.

use std::{
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    client::Client,
    crash_recovery::Choices,
    program::{Program, TOKEN, WAIT_TIMEOUT, now, pause},
};

/// Interval between two attempts at a gateway that is gone.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Gateways, any of which may be gone for a moment.
pub struct Cluster {
    gateways: Vec<Gateway>,
}

struct Gateway {
    command: Box<dyn Fn() -> Command + Send + Sync>,
    program: Mutex<Option<Program>>,
    address: std::net::SocketAddr,
}

/// Client that sends requests to any of the gateways.
pub struct Caller<'a> {
    site: &'a Cluster,
    pub choices: Choices,
    token: String,
    connection: Option<Client>,
}

/// Response to a client.
pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub text: String,
}

impl Answer {
    /// Returns a member of `data`.
    pub fn data(&self, member: &str) -> Option<String> {
        let answer: serde_json::Value = serde_json::from_str(&self.text).ok()?;
        answer["data"][member].as_str().map(str::to_owned)
    }
}

impl Cluster {
    /// Starts a gateway by each of these commands, which are used again after it was killed.
    pub fn start(commands: Vec<Box<dyn Fn() -> Command + Send + Sync>>) -> Self {
        let start = |command: Box<dyn Fn() -> Command + Send + Sync>| {
            let program = Program::start(command());
            let address = program.address;
            // The one that comes after it must be found where it was.
            let again = Box::new(move || {
                let mut command = command();
                command.env("LARDER_LISTEN", address.to_string());
                command
            });
            Gateway { command: again, program: Mutex::new(Some(program)), address }
        };
        Self { gateways: commands.into_iter().map(start).collect() }
    }

    pub fn len(&self) -> usize {
        self.gateways.len()
    }

    /// Ends a gateway at once, and starts it again after a while.
    pub fn kill(&self, gateway: usize, absence: Duration) {
        let mut program = self.gateways[gateway].program();
        if let Some(program) = program.take() {
            program.kill();
        }
        pause(absence);
        let began = now();
        *program = loop {
            match Program::try_start((self.gateways[gateway].command)()) {
                Ok(started) => break Some(started),
                // Its object store may be out of reach at the moment; an operator would start it again, too.
                Err(errors) => assert!(began.elapsed() < WAIT_TIMEOUT, "it does not start again: {errors}"),
            }
        };
    }

    /// Stops a gateway for a time, with all its calls in flight.
    pub fn freeze(&self, gateway: usize, time: Duration) {
        let program = self.gateways[gateway].program();
        let Some(program) = program.as_ref() else { return };
        program.signal(Signal::STOP);
        pause(time);
        program.signal(Signal::CONT);
    }

    /// Stops all gateways gracefully, the leader last. Returns their logs.
    pub fn stop(self) -> Vec<String> {
        let programs = self
            .gateways
            .into_iter()
            .rev()
            .filter_map(|gateway| gateway.program.into_inner().unwrap_or_else(PoisonError::into_inner));
        programs
            .map(|program| {
                let ended = program.stop();
                assert!(ended.status.success(), "{}", ended.stderr);
                ended.stderr
            })
            .collect()
    }

    pub fn caller(&self, seed: u64) -> Caller<'_> {
        self.caller_with(TOKEN, seed)
    }

    pub fn caller_with(&self, token: &str, seed: u64) -> Caller<'_> {
        Caller { site: self, choices: Choices(seed), token: token.to_owned(), connection: None }
    }
}

impl Gateway {
    fn program(&self) -> MutexGuard<'_, Option<Program>> {
        self.program.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Caller<'_> {
    /// Asks any gateway; `None` if there was no answer, or half of one.
    pub fn ask(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Option<Answer> {
        let stays = self.choices.below(4) > 0;
        let mut connection = match self.connection.take().filter(|_| stays) {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let head = format!("{headers}content-length: {}\r\n", body.len());
        connection.begin(method, path, &head).ok()?;
        connection.write(body.as_bytes()).ok()?;
        let answer = connection.answer(method == "HEAD").ok()?;
        let (status, etag) = (answer.status, answer.header("etag").map(str::to_owned));
        let text = answer.text().ok()?;
        self.connection = Some(connection);
        Some(Answer { status, etag, text })
    }

    fn connect(&mut self) -> Option<Client> {
        let gateway = self.choices.below(self.site.len() as u64);
        let address = self.site.gateways[usize::try_from(gateway).expect("a small number")].address;
        let connected = Client::connect(address, &self.token).ok();
        if connected.is_none() {
            pause(RETRY_INTERVAL);
        }
        connected
    }
}
