//! The JSON Schema of `rtc.v1`, generated from the types.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::message::{ClientFrame, ServerFrame};

/// Returns the schema of every message: `$defs/ClientFrame` is what a client sends, `$defs/ServerFrame` what a server sends.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let client = generator.subschema_for::<ClientFrame>();
    let server = generator.subschema_for::<ServerFrame>();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rtc.v1",
        "description": "One message is one object. A client sends ClientFrame, a server ServerFrame; fields that are not named here are skipped.",
        "anyOf": [client, server],
        "$defs": generator.take_definitions(true),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    /// Set `UPDATE_SCHEMA=1` to write the file anew after a change of the types.
    #[test]
    fn the_published_schema_is_the_one_of_the_types() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/docs/protocol/rtc.v1.schema.json"
        );
        let generated = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &generated).unwrap();
        }
        let published = std::fs::read_to_string(path).expect("run with UPDATE_SCHEMA=1 once");
        assert!(
            published == generated,
            "{path} is not what the types say; run this test with UPDATE_SCHEMA=1"
        );
    }
}
