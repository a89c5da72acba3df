//! JSON Schema (2020-12) of the frames, from the types that read and write them.

use schemars::{Schema, SchemaGenerator, json_schema, schema_for};
use serde_json::Value;

use crate::client::{ClientRequest, EventFrame};
use crate::vocabulary::Vocabulary;

/// The schema of a request frame.
pub fn request() -> Value {
    schema_for!(ClientRequest).into()
}

/// The schema of an event frame.
pub fn event() -> Value {
    schema_for!(EventFrame).into()
}

/// The names of an enumeration.
pub(crate) fn enumeration<T: Vocabulary>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": enum_names::<T>() })
}

/// The names of an enumeration, or its numbers.
pub(crate) fn name_or_number<T: Vocabulary>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "type": "string", "enum": enum_names::<T>() }, { "type": "integer", "minimum": 0 }] })
}

/// A key-value list: strings, integers, nested lists.
pub(crate) fn list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": { "type": ["string", "integer", "object"] } })
}

fn enum_names<T: Vocabulary>() -> Vec<&'static str> {
    T::all().iter().map(|value| value.name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_name_the_attributes_as_the_frames_do() {
        let request = request();
        assert_eq!(request["properties"]["makeCallType"]["anyOf"][0]["enum"][0], "Regular");
        assert_eq!(request["required"], serde_json::json!(["request"]));
        let event = event();
        assert_eq!(event["properties"]["thisDnRole"]["enum"][1], "Origination");
        assert_eq!(event["required"], serde_json::json!(["event"]));
    }
}
