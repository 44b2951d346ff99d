//! `runner`: how language-model loss scales, measured on your own machine.
//!
//! ```text
//! spec (TOML) -> plan (grid of runs, FLOPs counted) -> execute (train each run, one result each)
//!             -> fit (laws with intervals) -> report (figures, page)
//! ```
//!
//! Data flows one way. A stage is a function from value to value; only [`commands`] prints, and
//! [`execute`] its progress, to stderr.
//!
//! | module | owns | may use |
//! |---|---|---|
//! | [`units`] | parameters, tokens, FLOPs and how they print | nothing |
//! | [`parameterization`] | THE table: init, learning rate, multiplier, decay by role | nothing |
//! | [`observation`] | one measured point, the noun shared by ledger and fits | units |
//! | [`spec`] | TOML to validated structs, errors with file, line and key | units, parameterization |
//! | [`plan`] | shapes, parameter counts, FLOPs, the grid, run identity | spec, parameterization, observation, units |
//! | [`provenance`] | what this program was built from | nothing |
//! | [`trainer`] | the seam between orchestration and training | plan |
//! | [`data`] | corpora, tokenizer, splits, the sampler, the built-in language | spec, plan (the facts of a corpus) |
//! | `train` | the only place that knows burn | spec, plan, parameterization, data, trainer |
//! | [`execute`] | worker processes, claims, progress, Slurm | spec (`[launcher]`), plan, ledger, trainer, units; never burn |
//! | [`ledger`] | run folders, first-wins results, derived tables | plan, observation, provenance, trainer |
//! | [`checkpoint`] | the weights of a run as a file, whole or refused | plan |
//! | [`fit`] | scaling laws with intervals | units, observation |
//! | [`report`] | figures (CSV and SVG) and the page | fit, observation, units |
//! | [`export`] | what other programs read: tables, event files, models | ledger, plan, checkpoint, data (the tokenizer) |
//! | [`serve`] | serving a report while a sweep runs | report |
//! | [`commands`] | one file a command: load, call a stage, print | everything |

pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod data;
pub mod execute;
pub mod export;
pub mod fit;
pub mod ledger;
pub mod observation;
pub mod parameterization;
pub mod plan;
pub mod provenance;
pub mod report;
pub mod serve;
pub mod spec;
#[cfg(feature = "train")]
pub mod train;
pub mod trainer;
pub mod units;
