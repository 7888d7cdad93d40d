//! Safety toggles: the measures against losses, each with a switch.
//!
//! All are on in production. A simulation can turn them off one at a time, to show what each prevents: without it,
//! records are lost.

/// Measures against losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct SafetyToggles {
    /// A change that took longer than the staleness bound is acknowledged only after a fresh read.
    pub confirms_late_changes: bool,
    /// A freeze waits for gateways that do not know it yet.
    pub waits_when_frozen: bool,
    /// A switch to a new location waits for gateways that do not know it yet.
    pub waits_when_cutting_over: bool,
    /// Each attempt of a relocation copies into a generation of its own.
    pub fresh_generations: bool,
    /// A snapshot's age counts from when its read was sent, not from its response.
    pub ages_from_sending: bool,
    /// Only a write ends a freeze.
    pub freezes_until_written: bool,
    /// An old location stays as long as a request may take.
    pub delays_removal: bool,
    /// A change of an unnamed store is acknowledged only when its expiry is late enough.
    pub extends_before_acknowledging: bool,
    /// A store is treated as expired only after a fresh read.
    pub rereads_before_expiry: bool,
    /// A store is swept when its document says that it has expired, not at an earlier estimate.
    pub sweeps_by_document: bool,
    /// An expired store is deleted only when it is found expired again, an hour of uptime later.
    pub confirms_expiry: bool,
}

impl SafetyToggles {
    /// All on, as required in production.
    pub const ALL: Self = Self {
        confirms_late_changes: true,
        waits_when_frozen: true,
        waits_when_cutting_over: true,
        fresh_generations: true,
        ages_from_sending: true,
        freezes_until_written: true,
        delays_removal: true,
        extends_before_acknowledging: true,
        rereads_before_expiry: true,
        sweeps_by_document: true,
        confirms_expiry: true,
    };
}

impl Default for SafetyToggles {
    fn default() -> Self {
        Self::ALL
    }
}
