//! The table of MLPs: what each position computes for itself.

mod bilinear;
mod experts;
mod gated;
mod geglu;
mod gelu;
mod squared_relu;
mod swiglu;
mod ungated;

use super::layout::{Family, Layout};
use super::ops::Ops;
use super::part::{Part as _, table};
use super::sizes::Sizes;
use super::weight::Weight;

pub use experts::Experts;

table! {
    /// What each position computes for itself.
    Mlp {
        /// Two matrices, four times as wide between them, with x Phi(x) (Hendrycks and Gimpel 2016, arXiv 1606.08415).
        #[default]
        "gelu" Gelu => gelu::Gelu,
        /// Two matrices, four times as wide between them, with the square of the positive part (So et al. 2021, arXiv
        /// 2109.08668).
        "squared-relu" SquaredRelu => squared_relu::SquaredRelu,
        /// A gated MLP of two thirds of the width, so that parameters agree (Shazeer 2020, arXiv 2002.05202).
        "swiglu" SwiGlu => swiglu::SwiGlu,
        /// As swiglu, but its gate goes through x Phi(x) (Shazeer 2020, arXiv 2002.05202).
        "geglu" GeGlu => geglu::GeGlu,
        /// As swiglu, but its gate goes through nothing (Shazeer 2020, arXiv 2002.05202).
        "bilinear" Bilinear => bilinear::Bilinear,
    }
}
