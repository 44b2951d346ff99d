//! Settings over the sizes of models: what holds on a larger model of what was found on a small one.

pub mod coordinates;
pub mod frontier;
pub mod optimum;
pub mod rates;
pub mod tuning;
mod valley;
