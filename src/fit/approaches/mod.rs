//! The approaches to the compute-optimal model, what they share, and what follows from them.
//!
//! | what | modules |
//! |---|---|
//! | their names | [`approach`] |
//! | the runs, the surface, its cost | [`points`], [`surface`], [`cost`], [`optimal`] |
//! | the approaches | [`approach1`], [`approach2`], [`approach3`], [`vpnls`]; the last two share [`parametric`] |
//! | runs that the rest contradicts | [`outliers`] |
//! | what they need at least | [`least`] |
//! | what all of them say in the same words | [`forecast`], [`summary`], [`headline`] |
//! | each with all that belongs to it, as tables and reports show it | [`complete`] |
//! | what to train | [`allocate`] |

pub mod allocate;
pub mod approach;
pub mod approach1;
pub mod approach2;
pub mod approach3;
pub mod complete;
pub mod cost;
pub mod forecast;
pub mod headline;
pub mod least;
pub mod optimal;
pub mod outliers;
pub mod parametric;
pub mod points;
pub mod summary;
pub mod surface;
pub mod vpnls;
