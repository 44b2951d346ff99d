//! Every law by its name, and what is drawn of its rows.

mod law;
mod objective;

pub use law::Law;
pub use objective::Objective;

/// A row of a table as it is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dot {
    /// Along the axis of the law.
    pub x: f64,
    /// Its loss, in nats per token.
    pub loss: f64,
    /// Rows of equal value are one series.
    pub series: Option<f64>,
}
