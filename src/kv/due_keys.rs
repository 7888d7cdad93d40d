//! The keys of due items: the part of `layout` that builds and reads them.

use std::time::Duration;

use crate::clock::Timestamp;

use super::{
    id::{StoreId, UserId},
    layout::{parse_number, parse_sortable, root, sortable},
};

/// Returns the prefix of all due items by wall time.
pub fn appointments() -> String {
    format!("{}stores-due/", root())
}

/// Returns the prefix of all due items by uptime.
pub fn uptime_appointments() -> String {
    format!("{}stores-due-by-uptime/", root())
}

/// Returns the start of due items at that uptime or later.
pub fn uptime_appointments_from(uptime: Duration) -> String {
    uptime_appointments() + &sortable(Timestamp::from_millis(0).plus(uptime))
}

/// Reason of a due item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DueReason {
    /// The document names something that is due then.
    Reminder,
    /// Intent: a change of the store follows, and may not have been written yet.
    Announcement,
    /// The store was found expired, which is to be confirmed.
    Confirmation,
    /// The store was deleted, and late writes are to be purged.
    Removal,
}

impl DueReason {
    const ALL: [Self; 4] = [Self::Reminder, Self::Announcement, Self::Confirmation, Self::Removal];

    fn as_str(self) -> &'static str {
        match self {
            Self::Announcement => "intent",
            Self::Reminder => "scheduled",
            Self::Confirmation => "expired",
            Self::Removal => "deleted",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// A due item, as encoded in its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueEntry {
    /// Due time: wall time, or uptime since zero.
    pub at: Timestamp,
    /// The store.
    pub id: StoreId,
    /// The reason.
    pub reason: DueReason,
    /// Distinguishes it from others at the same time.
    pub mark: u32,
    /// Owner and creation time of a store whose document is written after it.
    pub birth: Option<(UserId, Timestamp)>,
}

/// Returns the key of a due item by wall time.
pub fn appointment(entry: &DueEntry) -> String {
    let DueEntry { at, id, reason, mark, birth } = entry;
    let mut key = format!("{}{}-{id}-{mark:08x}-{}", appointments(), sortable(*at), reason.as_str());
    if let Some((owner, created_at)) = birth {
        key.extend(["-", owner.as_str(), "-", &sortable(*created_at)]);
    }
    key
}

/// Returns the key of a due item by uptime, with its number of failed attempts and `since`, the wall time at which it
/// was first due.
pub fn uptime_appointment(entry: &DueEntry, attempts: u32, since: Timestamp) -> String {
    let DueEntry { at, id, reason, mark, .. } = entry;
    let (at, since) = (sortable(*at), sortable(since));
    format!("{}{at}-{id}-{mark:08x}-{}-{attempts}-{since}", uptime_appointments(), reason.as_str())
}

/// Parses the key of a due item by wall time; `None` if the object is none.
pub fn parse_appointment(object: &str) -> Option<DueEntry> {
    let mut parts = object.strip_prefix(&appointments())?.split('-');
    let entry = parse_due(&mut parts)?;
    let birth = match parts.next() {
        Some(owner) => Some((owner.parse().ok()?, parse_sortable(parts.next()?)?)),
        None => None,
    };
    parts.next().is_none().then_some(DueEntry { birth, ..entry })
}

/// Parses the key of a due item by uptime: the item, its failed attempts, and the wall time at which it was first
/// due; `None` if the object is none.
pub fn parse_uptime_appointment(object: &str) -> Option<(DueEntry, u32, Timestamp)> {
    let mut parts = object.strip_prefix(&uptime_appointments())?.split('-');
    let entry = parse_due(&mut parts)?;
    let attempts = u32::try_from(parse_number(parts.next()?)?).ok()?;
    let since = parse_sortable(parts.next()?)?;
    parts.next().is_none().then_some((entry, attempts, since))
}

fn parse_due<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<DueEntry> {
    let (at, id) = (parse_sortable(parts.next()?)?, parts.next()?.parse().ok()?);
    let mark = parts.next()?;
    let is_mark = mark.len() == 8 && mark.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mark = u32::from_str_radix(mark, 16).ok().filter(|_| is_mark)?;
    Some(DueEntry { at, id, reason: DueReason::parse(parts.next()?)?, mark, birth: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededRandom;

    #[test]
    fn a_due_item_reads_back_as_it_was_written() {
        let random = SeededRandom::new(4);
        let (id, owner, at) = (StoreId::generate(&random), UserId::generate(&random), Timestamp::from_millis(7));
        for reason in DueReason::ALL {
            for birth in [None, Some((owner, at))] {
                let entry = DueEntry { at, id, reason, mark: 0xAB, birth };
                assert_eq!(parse_appointment(&appointment(&entry)), Some(entry));
            }
            let entry = DueEntry { at, id, reason, mark: 1, birth: None };
            assert_eq!(parse_uptime_appointment(&uptime_appointment(&entry, 12, at)), Some((entry, 12, at)));
        }
    }
}
