//! Worker processes, their supervision, and what is shown of it.
//!
//! A worker ([`work`]) walks the plan, claims a run, trains it through [`crate::trainer::Trainer`], publishes, and goes
//! on until nothing is left to claim; it tells what it does as [`Event`]s, one JSON line each. A supervisor
//! ([`supervise`]) keeps one worker a slot alive and shows their events. They share nothing but the results folder
//! and those lines, so that a crash of one worker costs one attempt of one run. On a cluster ([`slurm`]) each task of an
//! array is such a supervisor with one slot. Never burn.

mod display;
mod event;
mod interrupt;
pub mod rehearsal;
mod slot;
pub mod slurm;
mod summary;
mod supervisor;
mod worker;

pub use display::Display;
pub use event::Event;
pub use interrupt::interrupts;
pub use summary::Summary;
pub use supervisor::{ExecuteError, supervise};
pub use worker::{WorkError, work};
