//! What keeps moves safe, each of it by a switch.
//!
//! All of them are on wherever Larder serves. They can be taken out one at a time so that a simulation can show what each is
//! for: without it, records are lost.

/// The safeguards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Safeguards {
    /// A change that took longer than its view may be believed is acknowledged only after a fresh look.
    pub confirms_late_changes: bool,
    /// After freezing a store, those who do not know it yet are waited for.
    pub waits_when_frozen: bool,
    /// After the new place counts, those who do not know it yet are waited for.
    pub waits_when_arriving: bool,
    /// Each attempt at a move copies into a generation of its own.
    pub fresh_generations: bool,
    /// A view's age counts from when its read was sent, not from its answer.
    pub ages_from_sending: bool,
    /// A freeze lasts until it is ended by a write.
    pub freezes_until_written: bool,
    /// A place that was left stays as long as a request may take.
    pub delays_removal: bool,
    /// A change of an unnamed store is acknowledged only when its life is long enough.
    pub renews_before_acknowledging: bool,
    /// A store is taken for expired only after a fresh look.
    pub looks_before_expiry: bool,
    /// A store is swept when its document says that it has expired, not when that was once expected.
    pub sweeps_by_document: bool,
    /// A store that was found expired is deleted only when it is found expired again, an hour of uptime later.
    pub confirms_expiry: bool,
}

impl Safeguards {
    /// As it has to be.
    pub const ALL: Self = Self {
        confirms_late_changes: true,
        waits_when_frozen: true,
        waits_when_arriving: true,
        fresh_generations: true,
        ages_from_sending: true,
        freezes_until_written: true,
        delays_removal: true,
        renews_before_acknowledging: true,
        looks_before_expiry: true,
        sweeps_by_document: true,
        confirms_expiry: true,
    };
}

impl Default for Safeguards {
    fn default() -> Self {
        Self::ALL
    }
}
