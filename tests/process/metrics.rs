//! The metrics of the program, compared with the document that explains them.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    client::{Client, Upload},
    program::{Program, TOKEN, command},
};

const FIGURES: &str = "figures-token-of-a-test";

/// Metric that exists with HTTPS only, and is tested there.
const WITH_HTTPS: &str = "larder_tls_certificate_expiry_timestamp_seconds";

/// Metrics that exist once the installation has been summed, a minute after the start.
const SUMMED: [&str; 3] = ["larder_stores", "larder_records", "larder_stored_bytes"];

/// Returns the names of metrics in a text: those in backticks at the beginning of a table's rows.
fn documented() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join("METRICS.md");
    let text = fs::read_to_string(path).expect("there is docs/METRICS.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split('|').next().map(str::to_owned));
    cells.flat_map(|cell| cell.split('`').step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_metric_is_documented_and_every_documented_one_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    command.env("LARDER_TOKEN", TOKEN).env("LARDER_METRICS_TOKEN", FIGURES);
    let program = Program::start(command);
    let ask = |token: &str, path: &str| {
        let mut client = Client::connect(program.address, token).expect("it listens");
        let answer = client.send("GET", path, "text/plain", Upload::None).expect("it answers");
        (answer.status, answer.text().expect("a body"))
    };
    assert_eq!(ask(FIGURES, "/v2/key-value-stores").0, 401, "it opens figures only");
    assert_eq!(ask(TOKEN, "/v2/key-value-stores").0, 200);
    let (status, text) = ask(FIGURES, "/metrics");
    assert_eq!(status, 200);
    let shown: BTreeSet<String> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned)).collect();
    let mut documented = documented();
    for later in [WITH_HTTPS].iter().chain(&SUMMED) {
        assert!(documented.remove(*later), "{later}");
    }
    let (missing, unknown): (Vec<_>, Vec<_>) =
        (documented.difference(&shown).cloned().collect(), shown.difference(&documented).cloned().collect());
    assert!(missing.is_empty(), "documented and not there: {missing:?}");
    assert!(unknown.is_empty(), "there and not documented: {unknown:?}");
    assert!(!text.contains(TOKEN) && !text.contains(FIGURES));
    let logged = program.stop().stderr;
    assert!(!logged.contains(FIGURES), "{logged}");
}
