//! Worker processes, their supervision, and what is shown of it.
//!
//! A worker ([`work`]) walks the plan, claims a run, trains it through [`crate::trainer::Trainer`], publishes, and goes
//! on until nothing is left to claim; it tells what it does as [`Event`]s, one JSON line each, which names its run. A
//! supervisor ([`supervise`]) keeps one worker a slot alive and shows their events. They share nothing but the results folder
//! and those lines, so that a crash of one worker costs one attempt of its runs: one, or on a card that has room for more
//! than one can fill several side by side, each on a thread. [`program`] trains by a program of somebody else. On a cluster ([`slurm`]) each task of an array is such a
//! supervisor with one slot. Never burn.

mod attempt;
pub mod choose;
mod display;
pub mod diverged;
mod event;
mod failpoint;
mod health;
mod interrupt;
mod lanes;
#[cfg(unix)]
pub mod program;
pub mod rehearsal;
mod retry;
mod shelf;
mod slot;
pub mod slurm;
mod status;
mod stopping;
mod supervisor;
mod tally;
mod terms;
mod worker;

pub use display::Display;
pub use event::Event;
pub use interrupt::{files_may_be_too_large, interrupts, leave, stop_flag};
pub use status::{Failed, Running, Status};
pub use stopping::{Stopping, replay};
pub use supervisor::{ExecuteError, Pool, supervise};
pub use tally::Tally;
pub use terms::{Open, Terms, Work, WorkError};
pub use worker::work;

/// Exit code of a process that was asked to stop, has checkpointed, and wants to be started again: that of a temporary
/// failure in BSD's `sysexits.h`.
pub const REQUEUE: u8 = 75;
