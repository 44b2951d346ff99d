//! What a model is made of: a table of parts. Each part is one file, which says what weights it has (and so how many
//! parameters, in which role and group, and what its products cost), what it computes, and how a model with it is
//! exported. Nothing else in this program knows a part by its name.
//!
//! From the bottom: `weight`, `sizes`, `site` and `layout` are nouns; `ops` is what an engine computes for parts; `part` is
//! the trait; each file in `mixer`, `mlp` and `embedding` is a part, and the `mod.rs` of its folder is the table; `parts` is
//! a choice of them; `shape` counts a whole model, `forward` runs it. docs/architecture.md says how to add a part.

mod embedding;
mod forward;
mod layout;
mod mixer;
mod mlp;
mod norm;
mod ops;
mod part;
mod parts;
mod positions;
mod shape;
mod site;
mod sizes;
mod weight;

pub use embedding::Embedding;
pub use forward::{head, hidden};
pub use layout::{Family, Layout, Source, Tensor};
pub use mixer::Mixer;
pub use mlp::{Experts, Mlp};
pub use norm::{Norm, NormPlace};
pub use ops::Ops;
pub use parts::{Parts, is_default};
pub use positions::Positions;
pub use shape::Shape;
pub use site::Site;
pub use sizes::Sizes;
pub use weight::{Group, Weight};
