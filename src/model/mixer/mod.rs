//! The table of mixers: what moves information between positions.

mod attention;

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
    }
}
