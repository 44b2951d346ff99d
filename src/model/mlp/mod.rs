//! The table of MLPs: what each position computes for itself.

mod gelu;

use super::layout::{Family, Layout};
use super::ops::Ops;
use super::part::{Part as _, table};
use super::sizes::Sizes;
use super::weight::Weight;

table! {
    /// What each position computes for itself.
    Mlp {
        /// Two matrices, four times as wide between them, with x Phi(x) (Hendrycks and Gimpel 2016, arXiv 1606.08415).
        #[default]
        "gelu" Gelu => gelu::Gelu,
    }
}
