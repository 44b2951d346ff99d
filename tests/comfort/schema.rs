//! As much of JSON Schema (draft 2020-12) as our schema uses. A keyword that is not known here fails the test, so that
//! nothing is skipped. The jsonschema crate would have burn compiled a second time for tests alone, by the features
//! that it switches on.

use serde_json::Value;

/// Words for people and editors, which decide nothing.
const NOTES: [&str; 7] = ["$schema", "$defs", "title", "description", "default", "examples", "format"];

/// Whether a value is valid by a schema, whose references lead into `root`.
pub fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let Value::Object(keywords) = schema else { return schema.as_bool().expect("a schema is an object or a bool") };
    keywords.iter().all(|(keyword, rule)| {
        let all = |check: &dyn Fn(&Value) -> bool| rule.as_array().unwrap().iter().all(check);
        let any = |check: &dyn Fn(&Value) -> bool| rule.as_array().unwrap().iter().any(check);
        let below = |schema: &Value| is_valid(root, schema, value);
        let number = |holds: fn(f64, f64) -> bool| value.as_f64().is_none_or(|x| holds(x, rule.as_f64().unwrap()));
        match keyword.as_str() {
            "type" => match rule {
                Value::Array(_) => any(&|name| is_a(value, name.as_str().unwrap())),
                name => is_a(value, name.as_str().unwrap()),
            },
            "$ref" => below(root.pointer(rule.as_str().unwrap().strip_prefix('#').unwrap()).unwrap()),
            "anyOf" => any(&below),
            "oneOf" => rule.as_array().unwrap().iter().filter(|schema| below(schema)).count() == 1,
            "allOf" => all(&below),
            "not" => !below(rule),
            "const" => value == rule,
            "enum" => any(&|known| known == value),
            "minimum" => number(|x, least| x >= least),
            "maximum" => number(|x, most| x <= most),
            "exclusiveMinimum" => number(|x, bound| x > bound),
            "required" => value.as_object().is_none_or(|fields| all(&|key| fields.contains_key(key.as_str().unwrap()))),
            "items" => value.as_array().is_none_or(|items| items.iter().all(|item| is_valid(root, rule, item))),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "properties" => value.as_object().is_none_or(|fields| {
                fields.iter().all(|(key, field)| rule.get(key).is_none_or(|schema| is_valid(root, schema, field)))
            }),
            "additionalProperties" => value.as_object().is_none_or(|fields| {
                let named = |key: &str| schema.get("properties").is_some_and(|known| known.get(key).is_some());
                fields.iter().all(|(key, field)| named(key) || is_valid(root, rule, field))
            }),
            other => {
                assert!(
                    NOTES.contains(&other) || other.starts_with("x-"),
                    "a keyword that this check does not know: {other}"
                );
                true
            }
        }
    })
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("no type is called {other}"),
    }
}
