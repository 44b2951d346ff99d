//! Which run to pay for next.
//!
//! | what | module |
//! |---|---|
//! | what is believed of the loss, as draws | [`belief`], whose columns are in `features` |
//! | what a run would tell of a target, from any draws | [`ensemble`] |
//! | the next runs of a sweep, and how well its goal is known | [`next`] |
//! | the best settings of a point | [`tune`] |
//! | runs bought from a pool for any law and region | [`pool`] |
//! | which run of a tuning grid need not be trained to its end | [`stop`] |

pub mod belief;
pub mod ensemble;
mod features;
pub mod next;
pub mod pool;
pub mod stop;
pub mod tune;

/// A run that could be trained, or was.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Parameters.
    pub params: f64,
    /// Training tokens.
    pub tokens: f64,
    /// Training FLOPs.
    pub flops: f64,
    /// Values of what is tuned, in the same order for all.
    pub tuned: Vec<f64>,
    /// How far it is.
    pub stand: Stand,
}

/// How far a candidate is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stand {
    /// It can be chosen.
    Free,
    /// It is being trained, or will be.
    UnderWay,
    /// Its loss, in nats per token.
    Finished(f64),
    /// Not to be chosen: it diverged, failed, or is beyond a limit. Nothing is learned from it.
    Closed,
}
