//! Latency under overload: the times of served requests while the load is four times the capacity, beside those at half
//! load.
//!
//! The object store is the stub with a fixed delay, and Larder has a limit on concurrent requests: these two
//! determine the capacity, and the machine has processor time left to ask for more. Requests are open-loop: they are
//! sent when they are due, however long the others take, and their times count from when they were due.

use std::{
    env,
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::TcpStream,
    task::JoinSet,
    time::sleep_until,
};

use crate::{
    load::variant::millis,
    program::{Program, TOKEN, larder},
    report::{Outcome, Samples, ratio, table},
    store::Store,
    stub_s3,
};

/// Requests that Larder works on at once.
const PLACES: u32 = 64;

/// Time that the object store takes for each.
pub const SERVICE: Duration = Duration::from_millis(25);

/// Connections that ask, each in turn.
const CONNECTIONS: u32 = 1024;

/// Rounds with each load, one after the other.
const ROUNDS: usize = 5;

/// Duration of a round.
const ROUND: Duration = Duration::from_secs(8);

/// Start of a round that is not counted: until then it might be a burst, for which all requests wait.
const BURST: Duration = Duration::from_secs(3);

/// Path of a record that the stub generates.
const KEY: &str = "get-1024-0000001";

/// Offered load, in eighths of the capacity.
const LOADS: [(&str, u32); 3] = [("half", 4), ("all", 8), ("four times", 32)];

/// Results of one load.
#[derive(Debug, Default)]
struct Tally {
    served: Samples,
    refused: Samples,
    served_count: u32,
    refused_count: u32,
    /// Of what was served, one for each round.
    p99: Vec<Duration>,
}

/// Measures, and says what came out.
pub async fn measure(folder: &Path) -> Outcome<String> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(stub_s3::SLOW_ARGUMENT);
    let slow = Program::start(command, &folder.join("stub.log"))?;
    let store = Store::stub(slow.address, slow.child.id());
    let (settings, places) = (store.settings(), PLACES.to_string());
    let mut settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.push(("LARDER_MAX_REQUESTS", places.as_str()));
    let larder = Program::start(larder(folder, &settings), &folder.join("larder.log"))?;
    let records = format!("/v2/key-value-stores/{}/records/{KEY}", larder.create_store()?);
    let mut tallies: [Tally; LOADS.len()] = Default::default();
    for round in 0..ROUNDS {
        for ((name, eighths), tally) in LOADS.iter().zip(&mut tallies) {
            eprintln!("round {}: {name}", round + 1);
            load(larder.address, &records, *eighths, tally).await?;
        }
    }
    let base = tallies[0].middle();
    let rows: Vec<_> = LOADS
        .iter()
        .zip(&mut tallies)
        .map(|((name, _), tally)| {
            let (served, refused) = (tally.served_count, tally.refused_count);
            let share = 100 * served / (served + refused).max(1);
            let p99 = tally.middle();
            vec![
                (*name).to_owned(),
                format!("{share} %"),
                millis(tally.served.p50()),
                millis(p99),
                format!("{:.2}", ratio(p99, base)),
                if refused > 0 { millis(tally.refused.p99()) } else { "-".to_owned() },
            ]
        })
        .collect();
    let heads = ["asked for, of what can be done", "served", "p50 ms", "p99 ms", "p99 / half", "refusals, p99 ms"];
    Ok(table(&heads, &rows))
}

impl Tally {
    fn middle(&self) -> Duration {
        let mut p99 = self.p99.clone();
        p99.sort_unstable();
        p99.get(p99.len() / 2).copied().unwrap_or_default()
    }
}

/// One round.
async fn load(address: SocketAddr, path: &str, eighths: u32, tally: &mut Tally) -> Outcome<()> {
    let period = SERVICE * 8 * CONNECTIONS / (PLACES * eighths);
    let began = Instant::now() + Duration::from_millis(200);
    let mut running = JoinSet::new();
    for index in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
        running.spawn(ask(BufStream::new(stream), request, began + period * index / CONNECTIONS, period, began));
    }
    let mut served = Samples::default();
    while let Some(asked) = running.join_next().await {
        for (status, time) in asked?? {
            match status {
                200 => {
                    served.push(time);
                    tally.served.push(time);
                    tally.served_count += 1;
                }
                503 => {
                    tally.refused.push(time);
                    tally.refused_count += 1;
                }
                status => return Err(format!("a read was answered {status}").into()),
            }
        }
    }
    tally.p99.push(served.p99());
    Ok(())
}

/// Sends each request when it is due, from `first` on. Returns the responses, and the time of each after it was due.
async fn ask(
    mut stream: BufStream<TcpStream>,
    request: String,
    first: Instant,
    period: Duration,
    began: Instant,
) -> Outcome<Vec<(u16, Duration)>> {
    let (mut answers, mut line) = (Vec::new(), String::new());
    let mut body = vec![0; 64 * 1024];
    let mut due = first;
    while due < began + ROUND {
        sleep_until(due.into()).await;
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let (mut status, mut length) = (0, 0);
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Err("the server closed the connection in the middle".into());
            }
            let text = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = text.strip_prefix("http/1.1 ") {
                status = rest.get(..3).unwrap_or_default().parse()?;
            } else if let Some(value) = text.strip_prefix("content-length: ") {
                length = value.parse()?;
            } else if text.is_empty() {
                break;
            }
        }
        stream.read_exact(body.get_mut(..length).ok_or("the answer is too long")?).await?;
        if due >= began + BURST {
            answers.push((status, due.elapsed()));
        }
        due += period;
    }
    Ok(answers)
}
