//! A record in a history: a register whose values are numbers that are used once.

use super::linear::Model;

/// Number in a record; `None` if there is no record.
pub type Value = Option<u64>;

/// An operation on a record, with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    Read(Value),
    Write(u64),
    Delete,
    /// A write under the condition that this was there; it held.
    Replace(Value, u64),
}

/// A record.
pub struct Register;

impl Model for Register {
    type State = Value;
    type Operation = Operation;

    fn after(&self, state: &Value, operation: &Operation) -> Vec<Value> {
        match operation {
            Operation::Read(seen) if seen == state => vec![*state],
            Operation::Replace(expected, new) if expected == state => vec![Some(*new)],
            Operation::Read(_) | Operation::Replace(..) => Vec::new(),
            Operation::Write(new) => vec![Some(*new)],
            Operation::Delete => vec![None],
        }
    }

    fn only_looks(operation: &Operation) -> bool {
        matches!(operation, Operation::Read(_))
    }
}
