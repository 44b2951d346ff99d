//! The models of `[[sweep.models]]` counted: by numbers that are written, and by the formulas of `[train.count]`.

use std::collections::BTreeMap;

use toml::Value;

use super::error::Fault;
use super::locate::Key;
use super::own::{COUNTS, Config, Count, OwnModel, OwnSize, flat};
use super::{Spec, SpecError};
use crate::fit::formula::Formula;

/// More parameters or FLOPs than any model has.
const MOST: f64 = 1e18;

impl Spec {
    /// Whether the models are those of a program, of shapes that it alone knows.
    pub fn has_own_models(&self) -> bool {
        self.sweep.as_ref().is_some_and(|sweep| !sweep.models.is_empty())
    }

    /// Every key of the program's configuration for a model.
    pub fn config_of(&self, model: &OwnModel) -> Config {
        let mut config = self.train.config.clone();
        config.extend(model.config.clone());
        config
    }

    /// Checks that every model is counted.
    pub fn check_models(&self) -> Result<(), SpecError> {
        counted(self).map(drop).map_err(Fault::nowhere)
    }

    /// The models of the program, counted, each with its configuration. `train.count.command` is not asked here: what it
    /// counts was filled in before.
    pub(crate) fn own_sizes(&self) -> Result<Vec<(OwnSize, Config)>, String> {
        counted(self).map_err(|fault| format!("{}: {}; {}", fault.key, fault.problem, fault.remedy))
    }
}

/// As [`Spec::own_sizes`].
pub(super) fn counted(spec: &Spec) -> Result<Vec<(OwnSize, Config)>, Fault> {
    let models = spec.sweep.as_ref().map_or(&[][..], |sweep| &sweep.models);
    models
        .iter()
        .enumerate()
        .map(|(at, model)| one(spec, model, &Key::from("sweep.models").child(&at.to_string())))
        .collect()
}

fn one(spec: &Spec, model: &OwnModel, key: &Key) -> Result<(OwnSize, Config), Fault> {
    let config = spec.config_of(model);
    let mut names: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let told = [("context", Some(spec.model.context as f64)), ("vocab", spec.data.vocab.map(f64::from))];
    let keys = flat(&config).into_iter().filter_map(|(key, value)| Some((key, number(value)?)));
    for (name, value) in told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).chain(keys) {
        names.insert(name, vec![value]);
    }
    let formulas = spec.train.count.as_ref().map_or([None; 4], Count::formulas);
    let mut counts = [None; 4];
    for (i, what) in COUNTS.into_iter().enumerate() {
        let value = match (model.counts()[i], formulas[i]) {
            (Some(written), _) => Some(written),
            (None, Some(formula)) => Some(evaluate(what, formula, &names, model)?),
            (None, None) => None,
        };
        let Some(value) = value else { continue };
        if !(value.is_finite() && value > 0.0 && value < MOST) {
            let problem = format!("{value} is no number of {}", if i == 3 { "FLOPs" } else { "parameters" });
            return Err(Fault::new(
                key.child(what),
                problem,
                "write a number above 0, or another formula in [train.count]",
            ));
        }
        counts[i] = Some(value);
        names.insert(what.to_owned(), vec![value]);
    }
    let [params_non_embedding, params_blocks_and_unembedding, params, flops_per_token] = counts;
    let missing = |what: &str, formula: &str| {
        let remedy =
            format!("write it here, or as a formula of the model's keys in [train.count]: {what} = \"{formula}\"");
        Fault::new(key.child(what), "missing: nothing counts this model", remedy)
    };
    let params = params.ok_or_else(|| missing("params", "12 * n_layer * n_embd^2"))?;
    let flops_per_token = flops_per_token.ok_or_else(|| missing("flops_per_token", "6 * params"))?;
    let parts = params_non_embedding.unwrap_or(0.0).max(params_blocks_and_unembedding.unwrap_or(0.0));
    if parts > params {
        let problem = format!("{params} parameters in all, and {parts} of a part of them");
        return Err(Fault::new(key.child("params"), problem, "count embedding and unembedding as well"));
    }
    let size =
        OwnSize { name: model.told(), params, params_non_embedding, params_blocks_and_unembedding, flops_per_token };
    Ok((size, config))
}

/// The value of a formula for a model.
fn evaluate(what: &str, formula: &str, names: &BTreeMap<String, Vec<f64>>, model: &OwnModel) -> Result<f64, Fault> {
    let wrong = |problem: String| {
        let known: Vec<&str> = names.keys().map(String::as_str).collect();
        let remedy = format!("the names that are numbers in the model {:?} are {}", model.told(), known.join(", "));
        Fault::new(Key::from("train.count").child(what), problem, remedy)
    };
    let law = Formula::parse(&format!("{what} = {formula}")).map_err(|error| wrong(error.to_string()))?;
    if let Some((name, _)) = law.names.used.iter().find(|(name, _)| !names.contains_key(name)) {
        return Err(wrong(format!("{name:?} is no number of this model")));
    }
    let values = law.values(names, 1).map_err(|error| wrong(error.to_string()))?;
    Ok(values[0])
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(whole) => Some(*whole as f64),
        Value::Float(number) => Some(*number),
        Value::Boolean(yes) => Some(f64::from(u8::from(*yes))),
        _ => None,
    }
}
