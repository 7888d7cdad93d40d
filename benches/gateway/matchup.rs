//! Those that are compared over one object store: Larder, nginx, a relay, the object store itself, and the bare server.

use std::{path::Path, thread::available_parallelism};

use crate::{
    cases::ROUNDS_OF_LARGE,
    load::{
        case::{Case, Effort, MIB, Verb},
        clients::Load,
        clients::Request,
        variant::{Variant, interleave},
    },
    nginx::Nginx,
    program::{Program, larder},
    proxy_floor,
    report::Outcome,
    store::Store,
};

/// All of them, running.
#[derive(Debug)]
pub struct Matchup<'a> {
    larder: Program,
    /// The id of a store of Larder's.
    records: String,
    /// One worker; and as many as Larder has threads, if that is more.
    nginxes: Vec<Nginx>,
    relay: Program,
    store: Store,
    bare: &'a Program,
}

/// A case, and what each did.
#[derive(Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// Larder.
    pub larder: usize,
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
    /// Starts Larder, nginx and a relay before `store`.
    pub fn start(folder: &Path, store: Store, bare: &'a Program) -> Outcome<Self> {
        std::fs::create_dir_all(folder)?;
        let settings = store.settings();
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let larder = Program::start(larder(folder, &settings), &folder.join("log"))?;
        let records = larder.create_store()?;
        let threads = available_parallelism()?.get();
        let mut nginxes = vec![Nginx::start(&folder.join("nginx"), 1, store.address)?];
        if threads > 1 {
            nginxes.push(Nginx::start(&folder.join("nginxes"), threads, store.address)?);
        }
        let relay = proxy_floor::start(folder, store.address)?;
        Ok(Self { larder, records, nginxes, relay, store, bare })
    }

    /// Measures a case.
    pub async fn measure(&self, case: Case, mut effort: Effort, pattern: &[u8]) -> Outcome<Row> {
        if case.verb == Verb::Put && case.bytes > MIB {
            effort.rounds = effort.rounds.min(ROUNDS_OF_LARGE);
        }
        let through = Request::to_larder(&case, case.verb, &self.records, pattern)?;
        let direct = self.store.request(&case, case.verb, pattern)?;
        let larder = self.larder.address;
        if case.verb == Verb::Get {
            let put = Request::to_larder(&case, Verb::Put, &self.records, pattern)?;
            Load::open(larder, &put, case.keys, case.connections).await?.sweep(None).await?;
            let put = self.store.request(&case, Verb::Put, pattern)?;
            Load::open(self.store.address, &put, case.keys, case.connections).await?.sweep(None).await?;
        }
        let mut all = vec![(larder, &through, vec![self.larder.child.id()])];
        for nginx in &self.nginxes {
            all.push((nginx.address, &direct, nginx.processes()?));
        }
        all.push((self.relay.address, &direct, vec![self.relay.child.id()]));
        all.push((self.store.address, &direct, self.store.process.into_iter().collect()));
        all.push((self.bare.address, &through, vec![self.bare.child.id()]));
        let mut variants = Vec::new();
        for (address, request, processes) in all {
            let mut load = Load::open(address, request, case.keys, case.connections).await?;
            let expected = (case.verb == Verb::Get).then_some(pattern);
            load.sweep(expected).await?;
            variants.push(Variant::new(load, processes));
        }
        interleave(&mut variants, effort).await?;
        let relay = 1 + self.nginxes.len();
        let (direct, bare) = (relay + 1, relay + 2);
        Ok(Row { case, larder: 0, nginxes: (1..relay).collect(), relay, direct, bare, variants })
    }
}
