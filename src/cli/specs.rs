//! Flags of what helps to write a spec.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::Shell;

use super::Overrides;

/// Flags of `runner init`.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// The kind of spec.
    #[arg(value_enum)]
    pub kind: SpecKind,
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

/// The specs that `runner init` can begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SpecKind {
    /// IsoFLOP curves of the built-in language in minutes on a laptop.
    Quickstart,
    /// IsoFLOP curves of a text.
    Isoflop,
    /// IsoFLOP curves: how much compute muP saves compared with tuning each size.
    IsoflopMup,
    /// Whether the best learning rate of a narrow model holds on a wide one.
    MupTransfer,
    /// The best learning rate and batch size for each size.
    Tune,
    /// The best learning rate for each width.
    LrGrid,
    /// How the loss falls with tokens: many lengths of few sizes, which share their stable phases.
    Lengths,
    /// Whether activations keep their size with width, for `runner coord-check`.
    CoordCheck,
    /// Whether activations keep their size with depth, for `runner coord-check`.
    CoordCheckDepth,
    /// How the loss falls with size where data do not limit.
    LawsSize,
    /// When one model learns no more from more tokens.
    LawsSaturation,
    /// Deep or wide at one number of parameters.
    LawsDepth,
    /// The critical batch size: steps against tokens.
    LawsBatch,
    /// One run, for `runner train`.
    Run,
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
