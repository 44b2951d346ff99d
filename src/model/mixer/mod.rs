//! The table of mixers: what moves information between positions.

mod attention;
mod lstm;
mod mingru;

use super::layout::{Family, Layout};
use super::ops::Ops;
use super::part::{Part as _, table};
use super::sizes::Sizes;
use super::weight::Weight;

table! {
    /// What moves information between positions.
    Mixer {
        /// Causal self-attention (Vaswani et al. 2017, arXiv 1706.03762).
        #[default]
        "attention" Attention => attention::Attention,
        /// Long short-term memory of the width of the model (Hochreiter and Schmidhuber 1997), with a matrix behind it; it
        /// needs no positions.
        "lstm" Lstm => lstm::Lstm,
        /// A gated recurrence that is linear in what it remembers, of the width of the model (Feng et al. 2024, arXiv
        /// 2410.01201), with a matrix behind it; it needs no positions.
        "mingru" MinGru => mingru::MinGru,
    }
}
