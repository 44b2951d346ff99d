//! Flags of what looks at results.

use std::path::PathBuf;

use clap::Args;

use super::Tables;

/// Flags of `runner ls`.
#[derive(Args, Debug)]
pub struct LsArgs {
    /// Folder of results folders, or one results folder.
    #[arg(default_value = "results")]
    pub dir: PathBuf,
    /// How tables are printed.
    #[command(flatten)]
    pub tables: Tables,
}

/// Flags of `runner show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The run: the beginning of its identity, or DIR/IDENTITY with the results folder that it is in.
    pub run: String,
    /// Where to look for it: a results folder, or a folder of them.
    #[arg(long = "in", value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// Print everything that decides its outcome as well, as JSON.
    #[arg(long)]
    pub config: bool,
}

/// Flags of `runner compare`.
#[derive(Args, Debug)]
pub struct CompareArgs {
    /// A results folder, or a run as for `runner show`.
    pub first: String,
    /// Another one of the same kind.
    pub second: String,
    /// Where to look for runs: a results folder, or a folder of them.
    #[arg(long = "in", value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// How tables are printed.
    #[command(flatten)]
    pub tables: Tables,
}
