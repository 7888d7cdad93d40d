//! Memory cost of JSON before it is parsed, and parsing only some members of an object.

use std::{fmt, mem::size_of};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Bytes per list element: lists grow by doubling.
const ELEMENT_BYTES: u64 = 2 * size_of::<Value>() as u64;

/// Bytes per object member in addition to its name, in the list of members and in the index of names.
const MEMBER_BYTES: u64 = 2 * (size_of::<Value>() + size_of::<String>() + 2 * size_of::<usize>()) as u64;

/// Returns the maximum memory, in bytes, of `json` as a [`Value`]. Fails if it is not JSON.
pub fn json_cost(json: &[u8]) -> serde_json::Result<u64> {
    let mut cost = 0;
    read(json, Cost(&mut cost))?;
    Ok(cost)
}

/// Returns the maximum memory, in bytes, of the members of the object `json` that [`members`] keeps. Fails if it is
/// not a JSON object.
pub fn members_cost(json: &[u8], names: &[&str]) -> serde_json::Result<u64> {
    let mut cost = 0;
    read(json, MembersCost { names, cost: &mut cost })?;
    Ok(cost)
}

/// Reads the members of the object `json` with one of `names`, and skips all others. Fails if it is not a JSON
/// object.
pub fn members(json: &[u8], names: &[&str]) -> serde_json::Result<Map<String, Value>> {
    read(json, Members { names })
}

fn read<'de, S: DeserializeSeed<'de>>(json: &'de [u8], seed: S) -> serde_json::Result<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Sums the memory of a value, without its own slot.
struct Cost<'a>(&'a mut u64);

impl<'de> DeserializeSeed<'de> for Cost<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cost<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        *self.0 += text.len() as u64;
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Cost(self.0))?.is_some() {
            *self.0 += ELEMENT_BYTES;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_key_seed(Cost(self.0))?.is_some() {
            *self.0 += MEMBER_BYTES;
            members.next_value_seed(Cost(self.0))?;
        }
        Ok(())
    }
}

/// Sums the memory of some members of an object.
struct MembersCost<'a> {
    names: &'a [&'a str],
    cost: &'a mut u64,
}

impl<'de> DeserializeSeed<'de> for MembersCost<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MembersCost<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(is_kept) = members.next_key_seed(Kept(self.names))? {
            match is_kept {
                Some(name) => {
                    *self.cost += MEMBER_BYTES + name.len() as u64;
                    members.next_value_seed(Cost(self.cost))?;
                }
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads some members of an object.
struct Members<'a> {
    names: &'a [&'a str],
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut kept = Map::new();
        while let Some(is_kept) = members.next_key_seed(Kept(self.names))? {
            match is_kept {
                Some(name) => drop(kept.insert(name.to_owned(), members.next_value()?)),
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(kept)
    }
}

/// Reads a name. Returns its index in a list of names, if it is there.
struct Kept<'a>(&'a [&'a str]);

impl<'a, 'de> DeserializeSeed<'de> for Kept<'a> {
    type Value = Option<&'a str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Kept<'a> {
    type Value = Option<&'a str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|kept| *kept == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_takes_is_known_before_it_is_parsed() {
        assert_eq!(json_cost(b"1").expect("it is JSON"), 0);
        assert_eq!(json_cost(b"\"flour\"").expect("it is JSON"), 5);
        assert_eq!(json_cost(b"[1,2,[]]").expect("it is JSON"), 3 * ELEMENT_BYTES);
        assert_eq!(json_cost(b"{\"ab\":\"cd\"}").expect("it is JSON"), MEMBER_BYTES + 4);
        for bad in [&b"[1"[..], b"", b"1 2", b"{\"a\"}"] {
            assert!(json_cost(bad).is_err(), "{bad:?}");
        }
        assert!(json_cost("[".repeat(200).as_bytes()).is_err(), "as deep as this it is not parsed either");
    }

    #[test]
    fn members_that_no_call_asked_for_are_skipped_and_cost_nothing() {
        let json = b"{\"a\":[1,2],\"b\":[1,2,3,4,5,6,7,8,9],\"a\":7}";
        assert_eq!(
            members(json, &["a"]).expect("an object"),
            serde_json::json!({ "a": 7 }).as_object().cloned().expect("one")
        );
        assert_eq!(members_cost(json, &["a"]).expect("an object"), 2 * (MEMBER_BYTES + 1) + 2 * ELEMENT_BYTES);
        assert_eq!(members_cost(json, &[]).expect("an object"), 0);
        for bad in [&b"[]"[..], b"7", b"{} x", b"{\"b\":}"] {
            assert!(members(bad, &["a"]).is_err() && members_cost(bad, &["a"]).is_err(), "{bad:?}");
        }
    }
}
