//! How values of flags are read.

use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};

use crate::paths;

/// A results folder that is read, by its path or, where it lies in `results/`, by its name.
pub(super) fn results_folder() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(|given| {
        let named = paths::in_results(&given).filter(|named| !given.exists() && named.is_dir());
        named.unwrap_or(given)
    })
}
