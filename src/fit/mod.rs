//! Scaling laws with intervals. Knows observations only: no plan, no ledger, no burn.
//!
//! Floors, from the lowest; each knows those above it in this list and none below it:
//!
//! | floor | what lies there |
//! |---|---|
//! | `estimate` | a value with its interval, and the status of a fit |
//! | [`numerics`] | solvers, regressions, resampling: knows no law |
//! | [`formula`] | laws written as formulas: their text, derivatives and fit |
//! | [`table`] | observations from files, and the budgets that they share |
//! | [`approaches`] | approaches 1, 2, 3 and VPNLS to the optimum, and what follows from them |
//! | [`laws`] | other laws: power laws, Kaplan's, repeated data, critical batch size, pruning |
//! | [`transfer`] | settings over sizes: learning rates, batch sizes, activations, what a recipe saves |
//! | [`design`] | which run to pay for next |
//! | [`named`] | every law by its name: which can be asked for |

pub mod approaches;
pub mod design;
mod estimate;
pub mod formula;
pub mod laws;
pub mod named;
pub mod numerics;
pub mod table;
pub mod transfer;

pub use estimate::{Estimate, NORMAL_95, Status};
pub use numerics::bootstrap::Bootstrap;
pub use table::resample::Resample;
