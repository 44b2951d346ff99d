//! What a part says of itself, and the tables in which parts stand.

use super::layout::{Family, Layout};
use super::ops::Ops;
use super::sizes::Sizes;
use super::weight::Weight;

/// A part of a block: what stands behind a normalization and is added to the residual stream.
pub trait Part {
    /// Its weights, in their order. Parameters, roles, groups, initial values and the FLOPs of all products with
    /// weights follow from them.
    fn weights(&self, sizes: &Sizes) -> Vec<Weight>;

    /// Channels in which each position is compared with those before it, and is given theirs: the products of
    /// attention that have no weight. 0 where there are none.
    fn attended(&self, _: &Sizes) -> usize {
        0
    }

    /// What it computes of `x` `[rows, width]`, without the multiplier of the role `Residual`.
    fn forward<O: Ops>(&self, ops: &O, x: O::Tensor, weights: &[O::Weight]) -> O::Tensor;

    /// What it becomes in a family, or why it cannot, beginning with its key.
    fn layout(&self, sizes: &Sizes, family: Family) -> Result<Layout, String>;
}

/// A table of parts: an enum of the words of a spec, and the part that each stands for. A line is a word, a name and a part.
macro_rules! table {
    ($(#[$about:meta])* $Table:ident { $($(#[$doc:meta])* $word:literal $Name:ident => $part:expr,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[derive(schemars::JsonSchema)]
        pub enum $Table { $($(#[$doc])* #[serde(rename = $word)] $Name,)+ }

        impl $Table {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$Name,)+];

            /// The word of a spec.
            pub fn name(self) -> &'static str {
                match self { $(Self::$Name => $word,)+ }
            }

            /// See [`Part::weights`].
            pub fn weights(self, sizes: &Sizes) -> Vec<Weight> {
                match self { $(Self::$Name => $part.weights(sizes),)+ }
            }

            /// See [`Part::attended`].
            pub fn attended(self, sizes: &Sizes) -> usize {
                match self { $(Self::$Name => $part.attended(sizes),)+ }
            }

            /// See [`Part::forward`].
            pub fn forward<O: Ops>(self, ops: &O, x: O::Tensor, weights: &[O::Weight]) -> O::Tensor {
                match self { $(Self::$Name => $part.forward(ops, x, weights),)+ }
            }

            /// See [`Part::layout`].
            pub fn layout(self, sizes: &Sizes, family: Family) -> Result<Layout, String> {
                match self { $(Self::$Name => $part.layout(sizes, family),)+ }
            }
        }
    };
}

pub(super) use table;
