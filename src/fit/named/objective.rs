//! What is minimised over the rows that a formula is fitted to, by name.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is minimised over the residuals of a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Least squares.
    Squares,
    /// Huber loss, linear above a residual of `delta`.
    Huber,
}
