//! Progress for people who watch.

use indicatif::{ProgressBar, ProgressStyle};

/// Shows how far a store has come, where somebody can see it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bars;

/// The progress of one store.
#[derive(Debug, Clone)]
pub struct Bar {
    records: ProgressBar,
}

impl Bars {
    /// A store of that name begins, with so many records if that is known, of which some were there before.
    pub fn begin(self, name: &str, total: Option<u64>, before: u64) -> Bar {
        let records = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let template = match total {
            Some(_) => "{prefix:24!} [{wide_bar}] {pos}/{len} records, {msg}",
            None => "{prefix:24!} {spinner} {pos} records, {msg}",
        };
        records.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        // A server names its stores; no terminal takes a part of that for a command.
        records.set_prefix(name.escape_debug().to_string());
        records.set_position(before);
        records.reset_eta();
        Bar { records }
    }
}

impl Bar {
    /// One more record is there; all of them so far have that many bytes.
    pub fn step(&self, bytes: u64) {
        self.records.inc(1);
        self.records.set_message(indicatif::HumanBytes(bytes).to_string());
    }

    /// It is over.
    pub fn end(&self) {
        self.records.finish();
    }
}
