//! JSON that is passed on as the text it came in.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// One JSON value, checked to be one and kept as its text.
#[derive(Clone)]
pub struct Raw(Box<RawValue>);

impl Raw {
    /// Writes a value down.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// Checks a text.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(Self)
    }

    /// Returns the text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Reads the text as a type.
    pub fn to<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.get())
    }

    /// Tells whether arrays and objects are nested deeper than `limit`.
    ///
    /// The text itself costs nothing when it is deep, yet a far peer that reads it into a tree may run out of stack.
    pub(crate) fn is_deeper_than(&self, limit: usize) -> bool {
        // Most payloads have not even that many brackets, and counting them is fast.
        let brackets = self.get().bytes().filter(|b| matches!(b, b'[' | b'{'));
        if brackets.count() <= limit {
            return false;
        }
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        for byte in self.get().bytes() {
            if in_string {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => in_string = true,
                b'[' | b'{' => {
                    depth += 1;
                    if depth > limit {
                        return true;
                    }
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        false
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({} bytes)", self.get().len())
    }
}

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Raw {}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Raw {
    fn schema_name() -> Cow<'static, str> {
        "Any".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        let raw = Raw::parse(r#"[{"a":"[[[[\"[[[["},[1]]"#).unwrap();
        assert!(raw.is_deeper_than(1));
        assert!(!raw.is_deeper_than(2));
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(Raw::parse(&deep).unwrap().is_deeper_than(9_999));
    }
}
