//! What commands print with `--json`: one object, which says the version of its form. docs/json.md lists the keys.

use serde_json::Value;

use super::stdout;

/// Raised where a key that was there changes its meaning or goes; new keys do not raise it.
pub const SCHEMA_VERSION: u32 = 1;

/// An object with that version.
pub fn versioned(mut object: Value) -> Value {
    object["schema_version"] = SCHEMA_VERSION.into();
    object
}

/// Prints an object in one line.
pub fn print(object: Value) -> anyhow::Result<()> {
    stdout::print(&format!("{}\n", versioned(object)))
}
