//! How large the activations of a model were seen to be.

pub use crate::model::Site;

/// Mean absolute value of one activation before a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// The step that comes next, from 1: at 1 the model is as it was drawn.
    pub step: usize,
    /// Which activation.
    pub site: Site,
    /// Mean of |x| over the batch and all channels.
    pub mean_abs: f64,
}

/// Fills in the batch of a step, as [`crate::data::Corpus::train_batch`] does.
pub type Batches<'a> = &'a dyn Fn(usize, &mut Vec<u16>);
