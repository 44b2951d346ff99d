//! The JSON schema of a spec, for editors: derived from the types, with the units and examples of [`super::keys`].

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{Spec, keys};

/// The JSON schema (draft 2020-12) of a spec. `x-unit` and `x-example` hold the unit of a value and an example in TOML.
pub fn schema() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<Spec>().to_value();
    annotate(&mut schema, "");
    schema["title"] = json!("Spec of runner");
    schema
}

/// Adds what the types cannot say to every key below `path`, and takes away what TOML cannot.
fn annotate(schema: &mut Value, path: &str) {
    let Some(object) = schema.as_object_mut() else { return };
    without_null(object);
    if let Some(example) = keys::example(path) {
        object.insert("x-example".to_owned(), json!(example));
    }
    if let Some(unit) = keys::unit(path) {
        object.insert("x-unit".to_owned(), json!(unit));
    }
    for (name, inner) in object.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        annotate(inner, &join(path, name));
    }
    // The table form of a rule has keys of its own.
    for form in object.get_mut("anyOf").and_then(Value::as_array_mut).into_iter().flatten() {
        for (name, inner) in form.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
            annotate(inner, &join(path, name));
        }
    }
}

/// The key of `name` in the table at `path`.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// What may be left out may not be written as null, which TOML does not have.
fn without_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    let forms = object.get_mut("anyOf").and_then(Value::as_array_mut);
    let Some(forms) = forms else { return };
    forms.retain(|form| form["type"] != "null");
    if let [Value::Object(only)] = forms.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        for (name, value) in only {
            object.entry(name).or_insert(value);
        }
    }
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
}
