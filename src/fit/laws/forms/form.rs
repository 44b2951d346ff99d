//! What a law of the literature is, as a formula.

/// A law of the literature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Its name in rankings, and where `--law` has it there.
    pub name: &'static str,
    /// Its formula.
    pub formula: &'static str,
    /// The names in it that must be columns.
    pub columns: &'static [&'static str],
    /// Bounds and starts of its unknowns, as `--unknown` takes them.
    pub unknowns: &'static [&'static str],
    /// Where it is from.
    pub source: &'static str,
}

impl Form {
    /// Its formula for a table whose losses and groups have these names.
    pub fn written(&self, target: &str, group: &str) -> String {
        self.formula.replacen("loss", target, 1).replace("{group}", &format!("{{{group}}}"))
    }

    /// Whether it tells groups apart.
    pub fn has_groups(&self) -> bool {
        self.formula.contains("{group}")
    }
}
