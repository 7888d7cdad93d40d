//! Progress on standard error: done and total, rate, and time left.
//!
//! A terminal gets a bar. Other outputs, such as a pipe or a file, get a line every few seconds, whether or not a
//! record was finished meanwhile, and no control characters. There are no colours.

use std::{
    io::{self, IsTerminal, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

use super::{error::Result, record::Record, source::Size};

/// Interval between two drawings of the bar.
const BAR_REDRAW_INTERVAL: Duration = Duration::from_millis(250);

/// Interval between two lines without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(3);

/// Number of bytes that take as long as one request, to weigh small and large records against each other.
const BYTES_PER_REQUEST: u64 = 64 * 1024;

/// Progress of an import or export, shown until it is dropped.
pub struct ProgressDisplay {
    counters: Arc<Counters>,
    stop: Option<mpsc::Sender<()>>,
    drawing: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Counters {
    records: AtomicU64,
    bytes: AtomicU64,
    label: Mutex<String>,
}

/// Estimates of rates and of the time left.
struct Estimates {
    total: Size,
    records: ProgressBar,
    bytes: ProgressBar,
    work: ProgressBar,
}

impl ProgressDisplay {
    /// Shows progress towards `total`.
    pub fn start(total: Size) -> Self {
        let counters = Arc::<Counters>::default();
        let (stop, stopped) = mpsc::channel();
        let drawn = Arc::clone(&counters);
        let drawing = thread::spawn(move || draw(&drawn, total, &stopped));
        Self { counters, stop: Some(stop), drawing: Some(drawing) }
    }

    /// Sets the store whose records come next, of which `done` are there already.
    pub fn begin(&self, store: &str, done: Size) {
        // The name comes from a server or an archive: it must not contain control sequences for the terminal.
        *self.counters.label.lock() = store.escape_debug().to_string();
        self.counters.records.fetch_add(done.records, Ordering::Relaxed);
        self.counters.bytes.fetch_add(done.bytes, Ordering::Relaxed);
    }

    /// Counts a finished record. Its bytes were counted while they were read.
    pub fn step(&self) {
        self.counters.records.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds bytes of a record that need not be written.
    pub fn add_bytes(&self, bytes: u64) {
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts the bytes of a record while `work` reads them; takes them back after a failure.
    pub fn count<T>(&self, record: Record, work: impl FnOnce(Record) -> Result<T>) -> Result<T> {
        let read = Arc::new(AtomicU64::new(0));
        let counting =
            ProgressReader { inner: record.bytes, read: Arc::clone(&read), counters: Arc::clone(&self.counters) };
        let outcome = work(Record { bytes: Box::new(counting), ..record });
        if outcome.is_err() {
            self.counters.bytes.fetch_sub(read.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        outcome
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(drawing) = self.drawing.take() {
            let _ = drawing.join();
        }
    }
}

struct ProgressReader {
    inner: Box<dyn Read>,
    read: Arc<AtomicU64>,
    counters: Arc<Counters>,
}

impl Read for ProgressReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        self.counters.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Shows progress until its handle is dropped.
fn draw(counters: &Counters, total: Size, stopped: &mpsc::Receiver<()>) {
    let is_terminal = io::stderr().is_terminal();
    let estimates = Estimates::new(total, is_terminal);
    let interval = if is_terminal { BAR_REDRAW_INTERVAL } else { LINE_INTERVAL };
    let mut has_begun = false;
    while stopped.recv_timeout(interval) == Err(mpsc::RecvTimeoutError::Timeout) {
        let done =
            Size { records: counters.records.load(Ordering::Relaxed), bytes: counters.bytes.load(Ordering::Relaxed) };
        let text = estimates.update(done, has_begun);
        has_begun = true;
        let label = counters.label.lock().clone();
        if is_terminal {
            estimates.work.set_prefix(label);
            estimates.work.set_message(text);
            estimates.work.tick();
        } else {
            // A missing reader is no reason to fail.
            let _ = writeln!(io::stderr().lock(), "store {label}: {text}");
        }
    }
    estimates.work.finish_and_clear();
}

impl Estimates {
    fn new(total: Size, is_terminal: bool) -> Self {
        let bar = |length: u64, is_shown: bool| {
            let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
            ProgressBar::with_draw_target(Some(length), target)
        };
        let work = bar(weight(total), is_terminal);
        let style = ProgressStyle::with_template("{prefix:20!} [{bar:20}] {msg}");
        work.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { total, records: bar(total.records, false), bytes: bar(total.bytes, false), work }
    }

    /// Updates the estimates, and returns them as a text.
    fn update(&self, done: Size, has_begun: bool) -> String {
        for (estimate, position) in
            [(&self.records, done.records), (&self.bytes, done.bytes), (&self.work, weight(done))]
        {
            estimate.set_position(position);
            estimate.tick();
        }
        let Self { total, records, bytes, work } = self;
        let rate = |estimate: &ProgressBar| Some(estimate.per_sec()).filter(|rate| rate.is_finite()).unwrap_or(0.0);
        let left = if weight(done) >= weight(*total) {
            "nearly done".to_owned()
        } else if has_begun && rate(work) > 0.0 {
            format!("{:#} left", HumanDuration(work.eta()))
        } else {
            "time left unknown".to_owned()
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive, and rounded")]
        let byte_rate = HumanBytes(rate(bytes) as u64);
        format!(
            "{} of {} records, {} of {}, {:.0} records/s, {byte_rate}/s, {left}",
            done.records,
            total.records,
            HumanBytes(done.bytes),
            HumanBytes(total.bytes),
            rate(records)
        )
    }
}

fn weight(size: Size) -> u64 {
    size.bytes.saturating_add(size.records.saturating_mul(BYTES_PER_REQUEST))
}

#[cfg(test)]
mod tests {
    use crate::import_export::record::Attributes;

    use super::*;

    fn record(bytes: &'static [u8]) -> Record {
        Record { attributes: Attributes::unknown(), length: None, bytes: Box::new(bytes) }
    }

    #[test]
    fn bytes_of_an_attempt_that_fails_do_not_count() {
        let display = ProgressDisplay::start(Size { records: 2, bytes: 10 });
        let read = |record: Record| io::copy(&mut { record.bytes }, &mut io::sink());
        let failed: Result<()> = display.count(record(b"flour"), |record| {
            read(record).expect("it reads");
            Err(super::super::error::Error::NoResponse(String::new()))
        });
        assert!(failed.is_err());
        assert_eq!(display.counters.bytes.load(Ordering::Relaxed), 0);
        assert_eq!(
            display.count(record(b"water"), |record| Ok(read(record).expect("it reads"))).expect("it is whole"),
            5
        );
        assert_eq!(display.counters.bytes.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn a_line_has_the_total_the_rates_and_the_time_left() {
        let estimates = Estimates::new(Size { records: 300, bytes: 3 << 20 }, false);
        let text = estimates.update(Size { records: 100, bytes: 1 << 20 }, false);
        assert!(text.starts_with("100 of 300 records, 1.00 MiB of 3.00 MiB, "), "{text}");
        assert!(text.contains(" records/s, ") && text.ends_with("left unknown"), "{text}");
        let text = estimates.update(Size { records: 200, bytes: 2 << 20 }, true);
        assert!(text.ends_with(" left"), "{text}");
        assert!(!text.contains(char::is_control), "{text}");
    }
}
