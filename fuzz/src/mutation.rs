//! Bytes that are nearly right: seeds with a few changes, which get further into a parser than chance alone.

use proptest::{collection::vec, prelude::*, sample::Index};

/// Change of some bytes.
#[derive(Debug, Clone)]
enum Change {
    /// Replaces one byte.
    Set(Index, u8),
    /// Inserts bytes.
    Insert(Index, Vec<u8>),
    /// Removes bytes.
    Remove(Index, usize),
    /// Repeats a range.
    Repeat(Index, usize, usize),
    /// Continues with another seed.
    Splice(Index, Index),
    /// Truncates.
    Cut(Index),
}

/// Bytes that are significant to some parser.
const TELLING: [&[u8]; 24] = [
    b"%",
    b"%2F",
    b"%00",
    b"..",
    b"/",
    b"\\",
    b"~",
    b"-",
    b"+1",
    b"=",
    b"&",
    b"\"",
    b"<",
    b"]]>",
    b"\r\n",
    b"\n",
    b",",
    b";",
    b":",
    b"*",
    b"\xFF",
    b"18446744073709551616",
    b"-1",
    b"null",
];

/// Returns a strategy for mutations of `seeds`, and sometimes for bytes of no seed at all.
pub fn of(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let chosen = (any::<Index>(), vec(change(), 0..6)).prop_map(move |(seed, changes)| {
        let mut bytes = seed.get(&seeds).clone();
        for change in changes {
            apply(&mut bytes, &change, &seeds);
        }
        bytes
    });
    prop_oneof![9 => chosen, 1 => vec(any::<u8>(), 0..200)]
}

fn change() -> impl Strategy<Value = Change> {
    let telling = any::<Index>().prop_map(|index| index.get(&TELLING).to_vec());
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), prop_oneof![telling, vec(any::<u8>(), 1..4)])
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<Index>(), 1_usize..20).prop_map(|(at, length)| Change::Remove(at, length)),
        (any::<Index>(), 1_usize..20, 1_usize..300).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        (any::<Index>(), any::<Index>()).prop_map(|(at, seed)| Change::Splice(at, seed)),
        any::<Index>().prop_map(Change::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change, seeds: &[Vec<u8>]) {
    let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
    match change {
        Change::Set(at, byte) => {
            let at = at.index(bytes.len().max(1));
            if let Some(old) = bytes.get_mut(at) {
                *old = *byte;
            }
        }
        Change::Insert(at, new) => {
            let at = place(at, bytes);
            bytes.splice(at..at, new.iter().copied());
        }
        Change::Remove(at, length) => {
            let at = place(at, bytes);
            let end = bytes.len().min(at + length);
            bytes.drain(at..end);
        }
        Change::Repeat(at, length, times) => {
            let at = place(at, bytes);
            let piece = bytes[at..bytes.len().min(at + length)].repeat(*times);
            bytes.splice(at..at, piece);
        }
        Change::Splice(at, seed) => {
            bytes.truncate(place(at, bytes));
            let other = seed.get(seeds);
            bytes.extend_from_slice(&other[place(at, other)..]);
        }
        Change::Cut(at) => bytes.truncate(place(at, bytes)),
    }
}
