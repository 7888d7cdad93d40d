//! Linearizability check of a history: each operation must be possible at one moment between its beginning and its end,
//! so that all responses are right one after the other.
//!
//! A depth-first search over what may come next, which remembers where it has been (Wing and Gong, "Testing and Verifying
//! Concurrent Objects", 1993, with the memory of Lowe, "Testing for linearizability", 2017).

use std::{collections::HashSet, fmt::Debug, hash::Hash};

/// Maximum number of states: more than a history of a test needs. Beyond it the check is inconclusive.
const MAX_STATES: usize = 2_000_000;

/// Sequential model of the operations.
pub trait Model {
    /// State of the model.
    type State: Clone + Eq + Hash + Debug;
    /// An operation with its answer.
    type Operation: Debug;

    /// Returns the states that are possible after an operation with this response; none if the response is impossible.
    fn after(&self, state: &Self::State, operation: &Self::Operation) -> Vec<Self::State>;

    /// Returns `true` if the operation never changes the state.
    fn only_looks(operation: &Self::Operation) -> bool;
}

/// An operation, and when it was under way, in nanoseconds from any moment.
#[derive(Debug)]
pub struct Span<O> {
    pub operation: O,
    pub began: u64,
    /// End of the operation. `None` if it is in doubt: it may take effect at any time, or never.
    pub ended: Option<u64>,
}

/// Returns an error if no order of these operations is possible, with the progress of the search.
pub fn check<M: Model>(model: &M, initial: &M::State, spans: &[Span<M::Operation>]) -> Result<(), String> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    // The operation that ended first is tried first: it mostly came first.
    order.sort_by_key(|index| spans[*index].ended.unwrap_or(u64::MAX));
    let certain = spans.iter().filter(|span| span.ended.is_some()).count();
    let mut search =
        Search { model, spans, order, seen: HashSet::new(), done: Bits::new(spans.len()), deepest: (0, None) };
    match search.goes_on(initial, certain) {
        Some(true) => Ok(()),
        Some(false) => Err(search.report()),
        None => Err(format!("not decided within {MAX_STATES} states; {}", search.report())),
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(length: usize) -> Self {
        Self(vec![0; length.div_ceil(64)])
    }

    fn has(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }

    fn flip(&mut self, index: usize) {
        self.0[index / 64] ^= 1 << (index % 64);
    }
}

struct Search<'a, M: Model> {
    model: &'a M,
    spans: &'a [Span<M::Operation>],
    order: Vec<usize>,
    seen: HashSet<(Bits, M::State)>,
    done: Bits,
    /// Maximum number of operations that were put in order, and the state then.
    deepest: (usize, Option<(Bits, M::State)>),
}

/// A step of the search: the number of operations left there, and the candidates that it has not tried yet.
struct Frame<S> {
    left: usize,
    next: Vec<(usize, S)>,
    came_by: Option<usize>,
}

impl<M: Model> Search<'_, M> {
    /// Returns `true` if the `left` operations with known responses can be put in order; `None` if the search takes too
    /// long.
    fn goes_on(&mut self, initial: &M::State, left: usize) -> Option<bool> {
        let mut frames = vec![Frame { left, next: self.next_of(initial), came_by: None }];
        while let Some(frame) = frames.last_mut() {
            if frame.left == 0 {
                return Some(true);
            }
            let Some((index, state)) = frame.next.pop() else {
                let came_by = frame.came_by;
                frames.pop();
                if let Some(index) = came_by {
                    self.done.flip(index);
                }
                continue;
            };
            let left = frame.left - usize::from(self.spans[index].ended.is_some());
            self.done.flip(index);
            if !self.seen.insert((self.done.clone(), state.clone())) {
                self.done.flip(index);
                continue;
            }
            if self.seen.len() > MAX_STATES {
                return None;
            }
            if frames.len() > self.deepest.0 {
                self.deepest = (frames.len(), Some((self.done.clone(), state.clone())));
            }
            frames.push(Frame { left, next: self.next_of(&state), came_by: Some(index) });
        }
        Some(false)
    }

    /// Returns the possible next operations, the likeliest last: none that began after the end of one that is not done
    /// yet.
    fn next_of(&self, state: &M::State) -> Vec<(usize, M::State)> {
        let open = || self.order.iter().copied().filter(|index| !self.done.has(*index));
        let first_end = open().find_map(|index| self.spans[index].ended).unwrap_or(u64::MAX);
        let ready = || open().filter(|index| self.spans[*index].began <= first_end);
        // A look that fits here may as well be taken here: whatever order there is with it further on, there is one with it at
        // this place. So most looks cost one state, however many are under way at once.
        let fits = |index: &usize| {
            let operation = &self.spans[*index].operation;
            M::only_looks(operation) && !self.model.after(state, operation).is_empty()
        };
        if let Some(look) = ready().find(fits) {
            return vec![(look, state.clone())];
        }
        let mut next: Vec<_> = ready()
            .flat_map(|index| {
                let after = self.model.after(state, &self.spans[index].operation);
                after.into_iter().map(move |state| (index, state))
            })
            .collect();
        next.reverse();
        next
    }

    /// Returns all operations in the order of their beginnings, and which of them the search could not put anywhere
    /// when it was furthest.
    fn report(&self) -> String {
        let (deepest, at) = &self.deepest;
        let Some((done, state)) = at else { return "nothing can come first".to_owned() };
        let mut all: Vec<usize> = (0..self.spans.len()).collect();
        all.sort_by_key(|index| self.spans[*index].began);
        let shown = |index: usize| {
            let mark = if done.has(index) { "fits" } else { "left" };
            let Span { operation, began, ended } = &self.spans[index];
            format!("  {mark} {operation:?}, {began} to {ended:?}")
        };
        let lines: Vec<_> = all.into_iter().map(shown).collect();
        format!("{deepest} of {} fit, then {state:?}, and none of what is left:\n{}", lines.len(), lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histories::register::{Operation, Register};

    fn holds(history: &[(Operation, u64, Option<u64>)]) -> bool {
        let spans: Vec<_> = history
            .iter()
            .map(|(operation, began, ended)| Span { operation: operation.clone(), began: *began, ended: *ended })
            .collect();
        check(&Register, &None, &spans).is_ok()
    }

    #[test]
    fn what_was_acknowledged_must_be_read() {
        use Operation::{Read, Write};
        assert!(holds(&[(Write(1), 0, Some(1)), (Read(Some(1)), 2, Some(3))]));
        assert!(!holds(&[(Write(1), 0, Some(1)), (Read(None), 2, Some(3))]));
        assert!(!holds(&[(Write(1), 0, Some(1)), (Write(2), 2, Some(3)), (Read(Some(1)), 4, Some(5))]));
        assert!(holds(&[(Write(1), 0, Some(1)), (Write(2), 2, Some(5)), (Read(Some(1)), 4, Some(5))]));
    }

    #[test]
    fn nothing_is_read_that_comes_back_or_was_never_written() {
        use Operation::{Delete, Read, Write};
        let two = [(Write(1), 0, Some(9)), (Write(2), 0, Some(9))];
        let back = [(Read(Some(1)), 1, Some(2)), (Read(Some(2)), 3, Some(4)), (Read(Some(1)), 5, Some(6))];
        assert!(!holds(&[&two[..], &back[..]].concat()));
        assert!(holds(&[&two[..], &back[..2]].concat()));
        assert!(!holds(&[(Read(Some(7)), 0, Some(1))]));
        assert!(!holds(&[(Write(1), 0, Some(1)), (Delete, 2, Some(3)), (Read(Some(1)), 4, Some(5))]));
    }

    #[test]
    fn an_operation_in_doubt_may_have_happened_late_or_never() {
        use Operation::{Read, Write};
        let open = (Write(2), 2, None);
        assert!(holds(&[(Write(1), 0, Some(1)), open.clone(), (Read(Some(1)), 50, Some(60))]));
        assert!(holds(&[(Write(1), 0, Some(1)), open.clone(), (Read(Some(2)), 50, Some(60))]));
        assert!(!holds(&[open, (Read(Some(2)), 0, Some(1))]), "not before it began");
    }

    #[test]
    fn a_condition_that_held_did_hold() {
        use Operation::{Read, Replace, Write};
        let first = (Write(1), 0, Some(1));
        assert!(holds(&[first.clone(), (Replace(Some(1), 2), 2, Some(3)), (Read(Some(2)), 4, Some(5))]));
        let twice = [(Replace(Some(1), 2), 2, Some(9)), (Replace(Some(1), 3), 2, Some(9))];
        assert!(!holds(&[&[first][..], &twice[..]].concat()), "one of the two was lost");
    }
}
