//! What one line says: a JSON object, also one behind a progress bar or a prefix such as `[default0]:`. Losses and steps are known by
//! the names that `import` and `fit` know them by, objects inside of it as names with a dot.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::lines::{LONGEST, Line, Stream};
use crate::fit::table;
use crate::lines::{flat, plain_json};

/// Characters of a reason that are shown.
const SHOWN: usize = 200;
/// Braces of a line at which an object behind other text is looked for.
const LOOKS: usize = 4;

/// The keys that mean something, and the others.
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    pub(super) run: Option<String>,
    step: Option<f64>,
    tokens: Option<f64>,
    #[serde(default, deserialize_with = "loss")]
    loss: Option<Loss>,
    pub(super) learning_rate: Option<f64>,
    #[serde(default, deserialize_with = "loss")]
    val_loss: Option<Loss>,
    pub(super) val_loss_stderr: Option<f64>,
    #[serde(flatten)]
    pub(super) others: Map<String, Value>,
}

/// A loss as a line tells it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    /// A number, or the word of what is none.
    Number(f64),
    /// `null`: what other languages than Python write for what is no number, and loggers for what was not measured.
    Null,
}

/// A loss that is there, even where it is none.
fn loss<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Loss>, D::Error> {
    let told = match Value::deserialize(deserializer)? {
        Value::Null => Some(Loss::Null),
        value => number(&value).map(Loss::Number),
    };
    told.map(Some).ok_or_else(|| serde::de::Error::custom("a loss is a number"))
}

/// A number, or the word of what is none.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse::<f64>().ok().filter(|value| !value.is_finite()),
        _ => None,
    }
}

impl Said {
    /// The training loss and the result. One that is `null` was not measured where another loss beside it is a number, and is no
    /// number where it stands alone.
    pub(super) fn losses(&self) -> [Option<f64>; 2] {
        let told = [self.loss, self.val_loss];
        let finite = |loss: &Option<Loss>| matches!(loss, Some(Loss::Number(value)) if value.is_finite());
        let is_loss = |(name, value): (&String, &Value)| name.to_lowercase().contains("loss") && value.is_number();
        let measured = told.iter().any(finite) || self.others.iter().any(is_loss);
        told.map(|loss| match loss? {
            Loss::Number(value) => Some(value),
            Loss::Null => (!measured).then_some(f64::NAN),
        })
    }

    /// The training loss by another name than `loss`.
    pub(super) fn training(&self) -> Option<(&str, f64)> {
        let training = self.named_losses().filter(|(name, _)| table::is_of_training(name));
        training.min_by_key(|(name, _)| (!table::is_plain_loss(name), table::training_loss(name)))
    }

    /// Losses of validation by other names than `val_loss`.
    pub(super) fn results(&self) -> impl Iterator<Item = (&str, f64)> {
        self.named_losses().filter(|(name, _)| table::is_of_validation(name))
    }

    /// What may be a loss by its name: the table of names is long, and most keys are none.
    fn named_losses(&self) -> impl Iterator<Item = (&str, f64)> {
        let may_be = |name: &str| ["loss", "entropy", "ce"].iter().any(|word| name.to_lowercase().contains(word));
        let named = self.others.iter().filter(move |(name, _)| may_be(name));
        named.filter_map(|(name, value)| Some((name.as_str(), number(value)?)))
    }

    /// Steps and tokens, of which one step has so many.
    pub(super) fn place(&self, per_step: f64) -> Option<(usize, f64)> {
        let [step, tokens] = [self.step, self.tokens].map(|value| value.filter(|value| *value >= 0.0));
        let step = step.or_else(|| if tokens.is_none() { self.other_step() } else { None });
        match (step, tokens) {
            (Some(step), Some(tokens)) => Some((step as usize, tokens)),
            (Some(step), None) => Some((step as usize, step * per_step)),
            (None, Some(tokens)) => Some(((tokens / per_step) as usize, tokens)),
            (None, None) => None,
        }
    }

    /// The step by another name than `step`.
    fn other_step(&self) -> Option<f64> {
        let named = self.others.iter().find(|(name, value)| table::is_step(name) && value.is_number());
        named.and_then(|(_, value)| value.as_f64()).filter(|step| *step >= 0.0)
    }

    /// Whether it tells a loss of any name.
    fn tells_a_loss(&self) -> bool {
        self.loss.is_some() || self.val_loss.is_some() || self.training().is_some() || self.results().next().is_some()
    }
}

/// What a line of standard output says, why it is not understood, or nothing where it is a line of a log.
pub(super) fn of(line: &Line) -> Option<Result<Said, String>> {
    if line.stream != Stream::Out {
        return None;
    }
    let text = line.text.trim();
    if text.starts_with('{') {
        return Some(object(line, text));
    }
    let tails = text.match_indices('{').take(LOOKS).map(|(at, _)| &text[at..]);
    let found = tails.filter_map(|tail| object(line, tail).ok()).find(Said::tells_a_loss);
    found.map(Ok).or_else(|| looks_like_one(text).then(|| Err("it is no JSON object at the end of a line".to_owned())))
}

/// Whether a line looks as if it told a loss by an object.
pub(super) fn looks_like_one(text: &str) -> bool {
    text.contains("{\"") && text.contains("loss\"")
}

/// A text as an object, or why it is none. Python prints NaN and infinities, for which JSON has no word: they become texts.
fn object(line: &Line, text: &str) -> Result<Said, String> {
    if line.cut {
        return Err(format!("it is longer than {} kB", LONGEST >> 10));
    }
    let parsed: Result<Said, _> = serde_json::from_str(text);
    let mut said = parsed.or_else(|error| {
        let plain = plain_json(text.as_bytes());
        serde_json::from_slice::<Said>(&plain).map_err(|_| error.to_string().chars().take(SHOWN).collect::<String>())
    })?;
    said.others = flat(said.others);
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<Result<Said, String>> {
        of(&Line { stream: Stream::Out, number: 1, text: text.to_owned(), cut: false })
    }

    #[test]
    fn losses_and_steps_are_known_by_the_names_that_people_use() {
        for name in ["val/loss", "val.loss", "eval_loss", "validation_loss", "test_loss"] {
            let said = told(&format!(r#"{{"{name}": 3.5, "iter": 7}}"#)).unwrap().unwrap();
            assert_eq!(said.results().collect::<Vec<_>>(), [(name, 3.5)]);
            assert_eq!((said.training(), said.place(100.0)), (None, Some((7, 700.0))), "{name}");
        }
        for name in ["train_loss", "train/loss", "training_loss"] {
            let said = told(&format!(r#"{{"{name}": 3.5, "global_step": 7}}"#)).unwrap().unwrap();
            assert_eq!((said.training(), said.results().count()), (Some((name, 3.5)), 0), "{name}");
        }
        let nested = told(r#"{"train": {"loss": 4.0}, "metrics": {"val_loss": 3.0}, "step": 2}"#).unwrap().unwrap();
        assert_eq!(nested.training(), Some(("train.loss", 4.0)));
        assert_eq!(nested.results().collect::<Vec<_>>(), [("metrics.val_loss", 3.0)]);
        // What is measured otherwise is no loss per token.
        let others = told(r#"{"val_bpb": 1.0, "val_loss_per_byte": 1.0, "perplexity": 20.0, "balance": 0.1}"#).unwrap();
        assert_eq!(others.unwrap().results().count(), 0);
    }

    #[test]
    fn an_object_behind_a_bar_or_a_prefix_is_understood_where_it_tells_a_loss() {
        for before in ["1/159 [####]", "[default0]:", "3: ", "INFO "] {
            let said = told(&format!(r#"{before}{{"step": 1, "loss": 5.0}}"#)).unwrap().unwrap();
            assert_eq!(said.losses(), [Some(5.0), None], "{before}");
        }
        for log in ["step 3 of 10", r#"settings: {"lr": 0.1}"#, "{", r#"said "loss" {"#] {
            assert!(told(log).is_none_or(|said| said.is_err() && log == "{"), "{log}");
        }
        for broken in [r#"a {"loss": 3.0"#, r#"a {"step": 1, "loss": 3.0} and more"#] {
            assert!(told(broken).unwrap().is_err(), "{broken}");
        }
    }
}
