//! `runner`: how language-model loss scales, measured on your own machine.
//!
//! ```text
//! spec (TOML) -> plan (grid of runs, FLOPs counted) -> execute (train each run, one result each)
//!             -> fit (laws with intervals) -> report (figures, page)
//! ```
//!
//! ```
//! use runner::units::Flops;
//!
//! let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sweeps/quickstart.toml"));
//! let longer = runner::spec::edit(text, &["sweep.budgets=[1e12, 2e12, 4e12]".to_owned()])?;
//! let spec = runner::spec::parse(&longer, "quickstart.toml")?;
//! assert_eq!(spec.sweep.unwrap().budgets.unwrap().len(), 3);
//! assert_eq!(Flops(4e12).to_string(), "4e12");
//! # Ok::<(), runner::spec::SpecError>(())
//! ```
//!
//! Data flows one way. A stage is a function from value to value; results are printed by
//! [`commands`] alone; progress and warnings of a device or a program go to stderr from where they arise.
//!
//! | module | owns | uses |
//! |---|---|---|
//! | `tell` | a line to standard error that never ends the program | nothing |
//! | [`units`] | parameters, tokens, FLOPs and how they print | nothing |
//! | [`columns`] | the names of the columns of `runs.csv`, and of which of them less is better | nothing |
//! | [`parameterization`] | THE table: init, learning rate, multiplier, decay by role | nothing |
//! | [`model`] | the parts of models: weights, roles, FLOPs, what they compute, how they are exported | parameterization |
//! | [`optimizer`] | THE table of optimizers: keys, what is kept, the step | parameterization |
//! | [`foreign`] | what a file is that somebody gives by mistake | nothing |
//! | [`lines`] | lines of text files that end as on Unix, and JSON as Python prints it | nothing |
//! | [`unpacked`] | text that lies compressed or as UTF-16, as what it says | nothing |
//! | [`shell`] | words as a shell takes them | nothing |
//! | [`paths`] | paths that stand for no results folder, and what was meant | shell |
//! | [`whole`] | files that are whole or absent | nothing |
//! | `memory` | how much memory is left on this machine | units |
//! | [`goal`] | what a sweep that chooses or stops its runs goes by | nothing |
//! | [`observation`] | one measured point, the noun shared by ledger and fits | nothing |
//! | [`provenance`] | what this program was built from | nothing |
//! | [`spec`] | TOML to validated structs, errors with file, line and key | columns, parameterization, model, optimizer, goal, units, fit (the names of laws) |
//! | [`plan`] | shapes, parameter counts, FLOPs, the grid, run identity | columns, spec, parameterization, model, optimizer, observation, units |
//! | [`trainer`] | the seam between orchestration and training | plan, model |
//! | [`data`] | corpora, tokenizer, splits, the sampler, the built-in language | spec, plan (the facts of a corpus), foreign, unpacked, memory, units, whole |
//! | [`checkpoint`] | the weights of a run as a file, whole or refused | plan, model, optimizer |
//! | `train` | training; the only place that knows burn and cudarc | columns, spec, plan, model, optimizer, parameterization, data, checkpoint, provenance, trainer, units |
//! | [`ledger`] | run folders, first-wins results, derived tables | columns, goal, spec (which keys decide nothing of a run), plan, observation, paths, provenance, trainer, whole |
//! | [`execute`] | worker processes, claims, progress, Slurm, which run next and which not to its end | columns, spec (`[launcher]` `[sweep]` and `[fit]`), plan, ledger, trainer, observation, goal, fit (what to train next), units, lines, shell, whole; never burn |
//! | [`fit`] | scaling laws with intervals, and which run would narrow them most | columns, units, observation, goal, foreign, lines, paths, shell, unpacked |
//! | [`report`] | figures (CSV and SVG) and the page | columns, fit, goal, observation, units, whole |
//! | [`tensorboard`] | event files: their messages and records | nothing |
//! | [`export`] | what other programs read: tables, event files, models | columns, ledger, plan, model, parameterization, checkpoint, lines, tensorboard, whole, data (the tokenizer) |
//! | [`import`] | runs that were trained elsewhere as a sweep's folder | columns, ledger, plan, spec, observation, fit (tables), lines, tensorboard, trainer, units |
//! | [`serve`] | serving a report while a sweep runs | report |
//! | [`cli`] | flags and help, no logic | paths, provenance, units, observation, fit (the names of laws), spec (the kinds of specs) |
//! | [`commands`] | one file or folder a command: load, call a stage, print | everything |

#[macro_use]
mod tell;

pub mod checkpoint;
pub mod cli;
pub mod columns;
pub mod commands;
pub mod data;
pub mod execute;
pub mod export;
pub mod fit;
pub mod foreign;
pub mod goal;
pub mod import;
pub mod ledger;
pub mod lines;
mod memory;
pub mod model;
pub mod observation;
pub mod optimizer;
pub mod parameterization;
pub mod paths;
pub mod plan;
pub mod provenance;
pub mod report;
pub mod serve;
pub mod shell;
pub mod spec;
pub mod tensorboard;
#[cfg(feature = "train")]
pub mod train;
pub mod trainer;
pub mod units;
pub mod unpacked;
pub mod whole;
