//! Models of any shape, which somebody else's program trains: the keys of `[[sweep.models]]` and of `[train.count]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Value;

/// Keys of a program's own configuration.
pub type Config = BTreeMap<String, Value>;

/// `[[sweep.models]]`: a model that the program of `train.command` makes from keys of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnModel {
    /// What tables call it; its `config` if not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All its parameters, if nothing counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<f64>,
    /// Parameters without embedding and unembedding, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_non_embedding: Option<f64>,
    /// Parameters of blocks and unembedding, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_blocks_and_unembedding: Option<f64>,
    /// Training FLOPs for each token, if nothing counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flops_per_token: Option<f64>,
    /// The program's own keys for this model, added to those of `train.config`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub config: Config,
}

/// `[train.count]`: how the models of `[[sweep.models]]` are counted: by formulas of their keys, or by the program itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// All parameters, as a formula of the keys of `config`, of `context` and of `vocab`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<String>,
    /// Parameters without embedding and unembedding, as a formula.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_non_embedding: Option<String>,
    /// Parameters of blocks and unembedding, as a formula.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_blocks_and_unembedding: Option<String>,
    /// Training FLOPs for each token, as a formula of the same names and of the parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flops_per_token: Option<String>,
    /// A program that prints the counts of a model as one JSON object, once for each model; `{config}` stands for the path of
    /// a JSON file that describes the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}

/// What is counted of a model, in the order in which formulas may use it.
pub const COUNTS: [&str; 4] = ["params_non_embedding", "params_blocks_and_unembedding", "params", "flops_per_token"];

impl OwnModel {
    /// The counts that are written, in the order of [`COUNTS`].
    pub fn counts(&self) -> [Option<f64>; 4] {
        [self.params_non_embedding, self.params_blocks_and_unembedding, self.params, self.flops_per_token]
    }

    /// Writes counts, but not over those that are there.
    pub fn fill_in(&mut self, counts: [Option<f64>; 4]) {
        let mine = [
            &mut self.params_non_embedding,
            &mut self.params_blocks_and_unembedding,
            &mut self.params,
            &mut self.flops_per_token,
        ];
        for (mine, count) in mine.into_iter().zip(counts) {
            *mine = mine.or(count);
        }
    }

    /// What tables call it.
    pub fn told(&self) -> String {
        let keys = || {
            let each = flat(&self.config).into_iter().map(|(key, value)| match value {
                Value::String(word) => format!("{key}={word}"),
                value => format!("{key}={value}"),
            });
            each.collect::<Vec<_>>().join(" ")
        };
        self.name.clone().unwrap_or_else(keys)
    }
}

impl Count {
    /// The formulas, in the order of [`COUNTS`].
    pub(super) fn formulas(&self) -> [Option<&String>; 4] {
        [&self.params_non_embedding, &self.params_blocks_and_unembedding, &self.params, &self.flops_per_token]
            .map(Option::as_ref)
    }
}

/// A model of somebody else's program, counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnSize {
    /// What tables call it.
    pub name: String,
    /// All parameters.
    pub params: f64,
    /// Parameters without embedding and unembedding, where known.
    pub params_non_embedding: Option<f64>,
    /// Parameters of blocks and unembedding, where known.
    pub params_blocks_and_unembedding: Option<f64>,
    /// Training FLOPs for each token.
    pub flops_per_token: f64,
}

/// Every value of a configuration under its dotted key.
pub fn flat(config: &Config) -> Vec<(String, &Value)> {
    let each = config.iter().flat_map(|(key, value)| inside(key, value));
    each.collect()
}

fn inside<'a>(key: &str, value: &'a Value) -> Vec<(String, &'a Value)> {
    match value {
        Value::Table(table) => {
            table.iter().flat_map(|(inner, value)| inside(&format!("{key}.{inner}"), value)).collect()
        }
        value => vec![(key.to_owned(), value)],
    }
}
