//! Gateways that serve the same, in every arrangement there is, and can be killed, paused and started again while clients
//! go on.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::process::Signal;

use crate::{
    client::Client,
    program::{Program, TOKEN, command},
};

/// Gateways over one backend. The first is the one that is killed and paused.
pub struct Cluster {
    pub folder: PathBuf,
    /// Prefix in the bucket; `None` in a folder.
    pub prefix: Option<String>,
    /// Sets what a command serves from.
    over: Box<dyn Fn(&Path) -> Command + Send + Sync>,
    gateways: Mutex<Vec<Option<Program>>>,
    /// Address of the first gateway, always the same, since others may know it as the leader.
    first: SocketAddr,
}

impl Cluster {
    /// One gateway over the embedded engine.
    pub fn embedded(folder: &Path) -> Self {
        let over = |folder: &Path| command(folder, &["serve"]);
        Self::start(folder, None, Box::new(over), 1)
    }

    /// Two gateways, each made by `over`: equal ones, or the leader and one that passes on to it.
    #[cfg(feature = "s3")]
    pub fn shared(folder: &Path, prefix: &str) -> Self {
        let of = prefix.to_owned();
        let over = move |folder: &Path| crate::bucket::before_bucket(folder, &of);
        Self::start(folder, Some(prefix.to_owned()), Box::new(over), 2)
    }

    fn start(
        folder: &Path,
        prefix: Option<String>,
        over: Box<dyn Fn(&Path) -> Command + Send + Sync>,
        count: usize,
    ) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it is bound");
        let site = Self { folder: folder.to_owned(), prefix, over, gateways: Mutex::new(Vec::new()), first: free };
        for number in 0..count {
            let program = site.program(number);
            site.lock().push(Some(program));
        }
        site
    }

    fn program(&self, number: usize) -> Program {
        let mut command = (self.over)(&self.folder);
        command.env("LARDER_TOKEN", TOKEN).env("LARDER_SECRET", "shared by all").env("LARDER_LOG", "info");
        let listen = if number == 0 { self.first.to_string() } else { "127.0.0.1:0".to_owned() };
        command.env("LARDER_LISTEN", listen);
        if self.prefix.is_some() {
            let leader = if number == 0 { "self".to_owned() } else { format!("http://{}", self.first) };
            command.env("LARDER_LEADER", leader);
        }
        Program::start(command)
    }

    /// Returns a connection to one of the gateways that run, as `choice` has it.
    pub fn client(&self, choice: u64) -> Option<Client> {
        let addresses: Vec<_> = self.lock().iter().flatten().map(|program| program.address).collect();
        let chosen = usize::try_from(choice).unwrap_or_default() % addresses.len().max(1);
        Client::connect(*addresses.get(chosen)?, TOKEN).ok()
    }

    /// Returns a connection to the first one.
    pub fn first(&self) -> Client {
        Client::connect(self.first, TOKEN).expect("it listens")
    }

    /// Kills the first one. Returns its log.
    pub fn kill(&self) -> String {
        let program = self.lock()[0].take().expect("it runs");
        program.kill().stderr
    }

    /// Starts the first one again.
    pub fn restart(&self) {
        let program = self.program(0);
        self.lock()[0] = Some(program);
    }

    /// Stops the first one where it is, or lets it go on.
    pub fn signal(&self, signal: Signal) {
        self.lock()[0].as_ref().expect("it runs").signal(signal);
    }

    /// Stops all gateways. Returns their logs.
    pub fn stop(&self) -> String {
        let programs: Vec<_> = self.lock().drain(..).flatten().collect();
        let ended = programs.into_iter().rev().map(|program| {
            let ended = program.stop();
            assert!(ended.status.success(), "{}", ended.stderr);
            ended.stderr
        });
        ended.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Program>>> {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
