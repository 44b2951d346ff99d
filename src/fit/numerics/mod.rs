//! Solvers, regressions and resampling. Knows no law and no observation.

pub mod averages;
pub mod bootstrap;
pub mod bounded;
pub mod chance;
pub mod gaussian;
pub mod interpolate;
pub mod least_squares;
pub mod minimize;
pub mod order;
pub mod ranks;
pub mod regress;
pub mod residuals;
