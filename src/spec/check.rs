//! Checks that several fields share, each with its problem and remedy.

use super::error::Fault;

pub(super) type Checked = Result<(), Fault>;

/// A number without the hundreds of zeros that very large and very small ones would have.
fn number(value: f64) -> String {
    let plain = value == 0.0 || !value.is_finite() || (1e-5..1e15).contains(&value.abs());
    if plain { value.to_string() } else { format!("{value:e}") }
}

pub(super) fn list(key: &str, values: &[f64], most: f64, noun: &str, remedy: &str) -> Checked {
    let fault = |problem: String, remedy| Err(Fault::new(key, problem, remedy));
    if values.is_empty() {
        return fault("an empty list".to_owned(), remedy);
    }
    if let Some(value) = values.iter().find(|value| !(**value > 0.0 && **value <= most)) {
        return fault(format!("{} is not a {noun}", number(*value)), remedy);
    }
    let twice = values.iter().enumerate().find(|(i, value)| values[..*i].contains(value));
    twice.map_or(Ok(()), |(_, value)| fault(format!("{value:e} is listed twice"), "write each once"))
}

pub(super) fn require<P: Into<String>, R: Into<String>>(
    holds: bool,
    key: &str,
    fault: impl FnOnce() -> (P, R),
) -> Checked {
    if holds {
        return Ok(());
    }
    let (problem, remedy) = fault();
    Err(Fault::new(key, problem, remedy))
}

pub(super) fn present(key: &str, written: bool, remedy: &str) -> Checked {
    require(written, key, || ("missing", remedy))
}

pub(super) fn absent(key: &str, written: bool, why: &str) -> Checked {
    require(!written, key, || (format!("does not belong here: {why}"), "delete it"))
}

pub(super) fn positive(key: &str, value: f64, such: &str) -> Checked {
    require(value.is_finite() && value > 0.0, key, || {
        (format!("{} is impossible", number(value)), format!("write a number above 0, such as {such}"))
    })
}

pub(super) fn not_negative(key: &str, value: f64, such: &str) -> Checked {
    require(value.is_finite() && value >= 0.0, key, || {
        (format!("{} is impossible", number(value)), format!("write a number of 0 or more, such as {such}"))
    })
}

pub(super) fn share(key: &str, value: f64, such: &str) -> Checked {
    require((0.0..=1.0).contains(&value), key, || {
        (format!("{} is not a share", number(value)), format!("write a number from 0 to 1, such as {such}"))
    })
}
