//! Larder over a folder of its own, beside an object store that is asked directly: both on the same disk, and beside the bare
//! server, which keeps nothing.

use std::path::Path;

use crate::{
    load::{
        case::{Case, Effort, KIB, Verb},
        clients::Load,
        clients::Request,
        variant::{Variant, interleave, micros, millis},
    },
    program::{Program, larder},
    report::{Outcome, ratio, table},
    store::Store,
};

/// Connections that ask at once.
const CONNECTIONS: usize = 32;

const GET: Case = Case { name: "GET 1 KiB", verb: Verb::Get, bytes: KIB, keys: 2_000, connections: CONNECTIONS };
const PUT: Case = Case { name: "PUT 1 KiB", verb: Verb::Put, bytes: KIB, keys: 20_000, connections: CONNECTIONS };

/// Size of Larder's read cache, and the cases that are measured with it.
const CASES: [(&str, &str, Case); 3] =
    [("GET, kept in memory", "32MiB", GET), ("GET, from the folder", "0", GET), ("PUT", "0", PUT)];

/// Measures all cases, and says what came out.
pub async fn measure(
    folder: &Path,
    store: &Store,
    bare: &Program,
    effort: Effort,
    pattern: &[u8],
) -> Outcome<(String, String)> {
    make_bucket(folder, store)?;
    let (mut ratios, mut figures) = (Vec::new(), Vec::new());
    for (name, memory, case) in CASES {
        eprintln!("{name}");
        let folder = folder.join(name);
        let data = folder.join("data");
        std::fs::create_dir_all(&folder)?;
        let settings = [
            ("LARDER_DATA", data.to_str().ok_or("the folder's path is not Unicode")?),
            ("LARDER_RECORD_CACHE_SIZE", memory),
        ];
        let larder = Program::start(larder(&folder, &settings), &folder.join("log"))?;
        let variants = compete(&larder, store, bare, case, effort, pattern).await?;
        let [ours, theirs, floor] = &variants;
        let rate = |other: &Variant| ours.ratio(other, |ours, other| ours.per_second / other.per_second);
        let p99 = ours.ratio(theirs, |ours, theirs| ratio(ours.p99, theirs.p99));
        let cpu = ours.ratio(floor, |ours, floor| ratio(ours.cpu, floor.cpu));
        let cells = [rate(theirs), p99, rate(floor), cpu].map(|figure| format!("{figure:.2}"));
        ratios.push([name.to_owned()].into_iter().chain(cells).collect());
        for (who, variant) in [("Larder", ours), ("object store", theirs), ("bare", floor)] {
            let time = |at: fn(&crate::load::variant::Measured) -> std::time::Duration| {
                millis(std::time::Duration::from_secs_f64(variant.middle(|round| at(round).as_secs_f64())))
            };
            let cpu = std::time::Duration::from_secs_f64(variant.middle(|round| round.cpu.as_secs_f64()));
            figures.push(vec![
                format!("{name}, {who}"),
                format!("{:.0}", variant.middle(|round| round.per_second)),
                time(|round| round.p50),
                time(|round| round.p99),
                if variant.peak_kib > 0 { micros(cpu) } else { "-".to_owned() },
            ]);
        }
    }
    let heads = ["Larder over a folder", "req/s / object store", "p99 / object store", "req/s / bare", "CPU / bare"];
    Ok((table(&heads, &ratios), table(&["", "req/s", "p50 ms", "p99 ms", "CPU us"], &figures)))
}

/// Has the bucket made by a Larder that is not asked for anything else.
fn make_bucket(folder: &Path, store: &Store) -> Outcome<()> {
    let folder = folder.join("bucket");
    std::fs::create_dir_all(&folder)?;
    let settings = store.settings();
    let mut settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.extend([("LARDER_LEADER", "self"), ("LARDER_SECRET", "guards nothing but a benchmark")]);
    Program::start(larder(&folder, &settings), &folder.join("log")).map(drop)
}

async fn compete(
    larder: &Program,
    store: &Store,
    bare: &Program,
    case: Case,
    effort: Effort,
    pattern: &[u8],
) -> Outcome<[Variant; 3]> {
    let records = larder.create_store()?;
    let through = |verb| Request::to_larder(&case, verb, &records, pattern);
    let direct = |verb| store.request(&case, verb, pattern);
    if case.verb == Verb::Get {
        for (address, put) in [(larder.address, through(Verb::Put)?), (store.address, direct(Verb::Put)?)] {
            Load::open(address, &put, case.keys, case.connections).await?.sweep(None).await?;
        }
    }
    let ours = through(case.verb)?;
    let all = [
        (larder.address, ours.clone(), Some(larder.child.id())),
        (store.address, direct(case.verb)?, store.process),
        (bare.address, ours, Some(bare.child.id())),
    ];
    let mut variants = Vec::new();
    for (address, request, process) in all {
        let mut load = Load::open(address, &request, case.keys, case.connections).await?;
        load.sweep((case.verb == Verb::Get).then_some(pattern)).await?;
        variants.push(Variant::new(load, process.into_iter().collect()));
    }
    interleave(&mut variants, effort).await?;
    variants.try_into().map_err(|_| "there are three variants".into())
}
