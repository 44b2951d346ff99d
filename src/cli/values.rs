//! How values of flags are read.

use std::path::{Component, Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};

/// A results folder that is read, by its path or, where it lies in `results/`, by its name.
pub(super) fn results_folder() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(|given| {
        let named = Path::new("results").join(&given);
        let is_name =
            !given.exists() && matches!(given.components().collect::<Vec<_>>().as_slice(), [Component::Normal(_)]);
        if is_name && named.is_dir() { named } else { given }
    })
}
