//! Those that are compared over one object store: Larder, perhaps another build of it, nginx, a relay, the object store
//! itself, and the bare server.

use std::{iter, path::Path, process::Command, thread::available_parallelism};

use crate::{
    cases::ROUNDS_OF_LARGE,
    load::{
        case::{Case, Effort, MIB, Verb},
        clients::Load,
        clients::Request,
        variant::{Variant, interleave},
    },
    nginx::Nginx,
    program::{Program, larder, larder_at},
    proxy_floor,
    report::Outcome,
    store::Store,
};

/// All of them, running.
#[derive(Debug)]
pub struct Matchup<'a> {
    larder: Larder,
    other: Option<Larder>,
    /// One worker; and as many as Larder has threads, if that is more.
    nginxes: Vec<Nginx>,
    relay: Program,
    store: Store,
    bare: &'a Program,
}

/// A running Larder.
#[derive(Debug)]
struct Larder {
    program: Program,
    /// The id of one of its stores.
    store: String,
}

impl Larder {
    fn start(command: Command, log: &Path) -> Outcome<Self> {
        let program = Program::start(command, log)?;
        let store = program.create_store()?;
        Ok(Self { program, store })
    }
}

/// A case, and what each did.
#[derive(Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// Larder.
    pub larder: usize,
    /// Another build of Larder.
    pub other: Option<usize>,
    /// nginx, with one worker and perhaps with more.
    pub nginxes: Vec<usize>,
    /// Proxy that relays bytes and reads none.
    pub relay: usize,
    /// Without a gateway.
    pub direct: usize,
    /// The bare server.
    pub bare: usize,
    /// All variants; the other fields say where in here.
    pub variants: Vec<Variant>,
}

impl<'a> Matchup<'a> {
    /// Starts Larder, the build of it at `other`, nginx and a relay before `store`.
    pub fn start(folder: &Path, store: Store, bare: &'a Program, other: Option<&Path>) -> Outcome<Self> {
        std::fs::create_dir_all(folder)?;
        let settings = store.settings();
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let this = Larder::start(larder(folder, &settings), &folder.join("log"))?;
        let other = match other {
            Some(program) => {
                let folder = folder.join("other");
                std::fs::create_dir(&folder)?;
                let mut command = larder_at(program, &folder, &settings);
                command.env("LARDER_S3_PREFIX", format!("{}-other", store.prefix));
                Some(Larder::start(command, &folder.join("log"))?)
            }
            None => None,
        };
        let threads = available_parallelism()?.get();
        let mut nginxes = vec![Nginx::start(&folder.join("nginx"), 1, store.address)?];
        if threads > 1 {
            nginxes.push(Nginx::start(&folder.join("nginxes"), threads, store.address)?);
        }
        let relay = proxy_floor::start(folder, store.address)?;
        Ok(Self { larder: this, other, nginxes, relay, store, bare })
    }

    /// Measures a case.
    pub async fn measure(&self, case: Case, mut effort: Effort, pattern: &[u8]) -> Outcome<Row> {
        if case.verb == Verb::Put && case.bytes > MIB {
            effort.rounds = effort.rounds.min(ROUNDS_OF_LARGE);
        }
        let direct = self.store.request(&case, case.verb, pattern)?;
        let mut through = Vec::new();
        for Larder { program, store } in iter::once(&self.larder).chain(&self.other) {
            if case.verb == Verb::Get {
                let put = Request::to_larder(&case, Verb::Put, store, pattern)?;
                Load::open(program.address, &put, case.keys, case.connections).await?.sweep(None).await?;
            }
            through.push((program, Request::to_larder(&case, case.verb, store, pattern)?));
        }
        if case.verb == Verb::Get {
            let put = self.store.request(&case, Verb::Put, pattern)?;
            Load::open(self.store.address, &put, case.keys, case.connections).await?.sweep(None).await?;
        }
        let mut all: Vec<_> =
            through.iter().map(|(program, request)| (program.address, request, vec![program.child.id()])).collect();
        for nginx in &self.nginxes {
            all.push((nginx.address, &direct, nginx.processes()?));
        }
        all.push((self.relay.address, &direct, vec![self.relay.child.id()]));
        all.push((self.store.address, &direct, self.store.process.into_iter().collect()));
        all.push((self.bare.address, &through[0].1, vec![self.bare.child.id()]));
        let mut variants = Vec::new();
        for (address, request, processes) in all {
            let mut load = Load::open(address, request, case.keys, case.connections).await?;
            let expected = (case.verb == Verb::Get).then_some(pattern);
            load.sweep(expected).await?;
            variants.push(Variant::new(load, processes));
        }
        interleave(&mut variants, effort).await?;
        let other = self.other.as_ref().map(|_| 1);
        let first_nginx = through.len();
        let relay = first_nginx + self.nginxes.len();
        let (direct, bare) = (relay + 1, relay + 2);
        Ok(Row { case, larder: 0, other, nginxes: (first_nginx..relay).collect(), relay, direct, bare, variants })
    }
}
