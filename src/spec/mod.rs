//! From a TOML file to a validated [`Spec`]: one run, or a sweep of many.
//!
//! Nothing scientific is silently defaulted: a value is written, or derived by a rule that the spec names. Unknown
//! keys, wrong types and impossible values are errors with file, line, key and what to write instead.

mod axes;
mod check;
mod counting;
mod data;
mod error;
mod keys;
mod kinds;
mod launcher;
mod locate;
mod mistakes;
mod neutral;
mod overrides;
mod own;
mod reference;
mod rule;
mod schema;
mod sections;
mod synonyms;
mod templates;
mod token_type;
mod tune;
mod validate;

use std::path::Path;

pub use axes::{Point, is_idle};
pub use data::{Data, KeepBy, KeepScores, LONGEST_HISTORY, Part, Source};
pub use error::SpecError;
pub use launcher::{Launcher, LauncherKind};
pub use neutral::NO_RATE;
pub use own::{COUNTS, Config, Count, OwnModel, OwnSize, flat};
pub use reference::{Entry, UnknownKey, entries, explain, markdown};
pub use rule::{At, PowerRule};
pub use schema::schema;
pub use sections::{
    Choose, Cooldown, Eval, Fit, Model, Optimizer, Precision, Schedule, ScheduleKind, Spec, Sweep, Task, TaskKind,
    Train,
};
pub use templates::{TEMPLATES, Template};
pub use token_type::TokenType;
pub use tune::Tuned;
pub(crate) use validate::{MIN_SIZES, MIN_STEPS, MOST_TOKENS, SEPARATOR_REMEDY};

/// Reads a spec file and checks everything in it, every point of its grid included.
pub fn load(path: &Path) -> Result<Spec, SpecError> {
    load_with(path, &[])
}

/// Reads a spec file as [`load`] does, with keys set otherwise: each of `set` is `KEY=VALUE` in TOML, or `KEY=`, which
/// takes the key away.
pub fn load_with(path: &Path, set: &[String]) -> Result<Spec, SpecError> {
    let file = path.display().to_string();
    let text = read(path)?;
    if set.is_empty() {
        return parse(&text, &file);
    }
    let overrides = overrides::read(set)?;
    let edited = overrides::apply(&text, &overrides)?;
    parse(&edited, &file).map_err(|error| overrides::blame(error, &overrides, &text))
}

/// The text of a spec with keys set as in [`load_with`], its comments kept.
pub fn edit(text: &str, set: &[String]) -> Result<String, SpecError> {
    overrides::apply(text, &overrides::read(set)?)
}

/// The text of a spec file.
pub fn read(path: &Path) -> Result<String, SpecError> {
    std::fs::read_to_string(path).map_err(|error| SpecError {
        file: path.display().to_string(),
        line: None,
        key: String::new(),
        problem: format!("cannot be read: {error}"),
        remedy: "give the path of a spec, a TOML file in UTF-8 such as sweeps/quickstart.toml".to_owned(),
        next: None,
    })
}

/// The error of a key of a spec that was read as by [`load_with`], where what is wrong shows only later.
pub fn wrong(path: &Path, set: &[String], key: &str, problem: String, remedy: &str) -> SpecError {
    let error = SpecError { file: path.display().to_string(), ..error::Fault::new(key, problem, remedy).nowhere() };
    match (overrides::read(set), read(path)) {
        (Ok(overrides), Ok(text)) => overrides::blame(error, &overrides, &text),
        _ => error,
    }
}

/// Reads and checks the text of a spec; `file` only names it in errors. The error tells all mistakes.
pub fn parse(text: &str, file: &str) -> Result<Spec, SpecError> {
    first_mistake(text, file).map_err(|first| mistakes::all(first, text, |mended| first_mistake(mended, file).err()))
}

fn first_mistake(text: &str, file: &str) -> Result<Spec, SpecError> {
    let locator = locate::Locator::new(text);
    if let Some(name) = locator.list_of_tables() {
        let remedy = format!("write [{name}] once, with single brackets");
        return Err(error::Fault::new(name, "a table, and no list of tables", remedy).located(file, &locator));
    }
    let spec = neutral::read(text).map_err(|error| error::from_toml(&error, file, &locator))?;
    axes::points(&spec).map_err(|fault| fault.located(file, &locator))?;
    Ok(spec)
}

impl Spec {
    /// Every combination of the values of `[sweep.axes]` and `[[sweep.zip]]`, checked; one point where there are none.
    /// Seeds, budgets and sizes stay in each point's `[sweep]`.
    pub fn points(&self) -> Result<Vec<Point>, SpecError> {
        axes::points(self).map_err(error::Fault::nowhere)
    }
}

impl Data {
    /// Checks `[data]` alone, as [`load`] does with everything: a corpus may be prepared without a spec.
    pub fn check(&self) -> Result<(), SpecError> {
        validate::data(self).map_err(error::Fault::nowhere)
    }
}
