//! Flags of what helps to write a spec.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap_complete::Shell;

use super::Overrides;
use crate::spec::TEMPLATES;

/// Flags of `runner init`.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// The kind of spec.
    #[arg(value_parser = kinds())]
    pub kind: String,
    /// The file to write; it must not exist. - writes to standard output [default: NAME.toml].
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Name of the sweep or run, and of its results folder [default: the kind].
    #[arg(long)]
    pub name: Option<String>,
    /// Train on this text: UTF-8, documents separated by blank lines.
    #[arg(long, value_name = "PATH")]
    pub text: Option<PathBuf>,
    /// Device that the spec is for: with cuda it sets matrix products in bf16, with others in f32.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// What to set otherwise.
    #[command(flatten)]
    pub overrides: Overrides,
}

fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(TEMPLATES.iter().map(|template| PossibleValue::new(template.kind).help(template.about)))
}

/// Flags of `runner explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// A key of a spec, such as sweep.seeds, or a table, such as sweep [default: list all keys].
    pub key: Option<String>,
}

/// Flags of `runner schema`.
#[derive(Args, Debug)]
pub struct SchemaArgs {
    /// Print the reference of all keys in Markdown, which is docs/spec.md.
    #[arg(long)]
    pub markdown: bool,
}

/// Flags of `runner completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Flags of `runner man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Folder for the pages, one per command. It is created if missing.
    pub dir: PathBuf,
}
