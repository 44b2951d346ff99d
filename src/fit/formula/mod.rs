//! Laws as formulas: `loss = E + A/N^alpha + B/D^beta`, where names that are columns are data and the others are looked for.
//!
//! | module | owns |
//! |---|---|
//! | `parse`, `error` | the text of a formula as a tree, and what is wrong with it, with the place |
//! | `unknowns` | bounds, signs and starts of what is looked for |
//! | `data` | rows of columns, losses and groups |
//! | `tape` | a formula over rows, with exact derivatives |
//! | `law` | a formula with its unknowns: [`Law`], and over rows: [`Bound`] |
//! | `solve` | the best fit of many starts |
//! | `vanished` | unknowns that went to zero: whether the rows do not want them, or only do not tell |
//! | `copies` | what few rows leave open: fits to copies of them, each with noise of its own |

mod copies;
mod data;
mod error;
mod law;
mod parse;
mod profile;
mod solve;
mod tape;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod unknowns;
mod vanished;

pub use copies::{Copies, Lesson};
pub use data::{Data, Grouping};
pub use error::FormulaError;
pub use law::{Bound, COST, Formula, Law, Names, Number};
pub use profile::as_good_outside;
pub use solve::{Measure, Residual, Solution, again, nowhere, solve, untold};
pub use unknowns::{Asked, Unknown};
pub use vanished::{Gone, NOTHING, look, zeroed};
