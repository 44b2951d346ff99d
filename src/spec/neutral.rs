//! What a spec with `[[sweep.models]]` need not say: keys that only built-in models read. Where they are not written, the spec
//! has values that mean nothing, and the program, which has its own, is told to look at none of them.

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue};
use toml::{Deserializer, Spanned};

use super::Spec;

/// The learning rate of a program whose spec has none.
pub const NO_RATE: f64 = 1.0;

/// Values without a meaning. Where a table's `kind` is written, the keys of that kind are asked for as always.
const NEUTRAL: &str = r#"
[data]
source = "program"
max_epochs = 1.0
seed = 1
[model]
parameterization = "standard"
head_dim = 2
[optimizer]
kind = "adamw"
learning_rate = 1.0
beta1 = 0.9
beta2 = 0.999
epsilon = 1e-8
weight_decay = 0.0
clip_norm = 0.0
[schedule]
kind = "constant"
floor = 1.0
warmup_tokens_per_param = 0.0
warmup_max_fraction = 0.0
[eval]
tokens = 0
curve_points = 100
"#;

/// Keys that stand instead of others.
const INSTEAD: [(&str, &str); 2] =
    [("weight_decay", "weight_decay_tokens"), ("warmup_tokens_per_param", "warmup_tokens")];

/// Reads a spec, neutral values filled in where the models are a program's own.
pub(super) fn read(text: &str) -> Result<Spec, toml::de::Error> {
    let mut root = DeTable::parse(text)?;
    if has_own_models(root.get_ref()) {
        let neutral = DeTable::parse(NEUTRAL).expect("a constant that tests read").into_inner();
        fill(root.get_mut(), neutral);
    }
    Spec::deserialize(Deserializer::from(root))
}

fn has_own_models(root: &DeTable) -> bool {
    let Some(DeValue::Table(sweep)) = root.get("sweep").map(Spanned::get_ref) else { return false };
    sweep.contains_key("models")
}

fn fill<'a>(root: &mut DeTable<'a>, neutral: DeTable<'a>) {
    for (name, table) in neutral {
        let DeValue::Table(keys) = table.into_inner() else { continue };
        let span = name.span();
        let entry = root.entry(name).or_insert_with(|| Spanned::new(span, DeValue::Table(DeTable::new())));
        let DeValue::Table(written) = entry.get_mut() else { continue };
        // A kind that is written has keys of its own.
        if written.contains_key("kind") {
            continue;
        }
        for (key, value) in keys {
            let name: &str = key.get_ref();
            let other = INSTEAD.iter().find(|(one, _)| *one == name).map(|(_, other)| *other);
            if !written.contains_key(name) && other.is_none_or(|other| !written.contains_key(other)) {
                written.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_that_means_none_is_that_of_the_text() {
        let neutral: toml::Table = NEUTRAL.parse().unwrap();
        assert_eq!(neutral["optimizer"]["learning_rate"].as_float(), Some(NO_RATE));
    }
}
