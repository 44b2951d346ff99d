//! The columns that laws over plain numbers read, in the order in which their fits take them.

use super::request::Request;
use crate::fit::table::{self, Field, TableError};

pub(super) const SIZE: &[Field] = &[Field::Params];
pub(super) const LENGTH: &[Field] = &[Field::Tokens];
pub(super) const COMPUTE: &[Field] = &[Field::Flops, Field::FlopBudget];
pub(super) const LOSS: &[Field] = &[Field::Loss];
const STEPS: &[Field] = &[Field::Steps];
const BATCH: &[Field] = &[Field::Batch];

/// Kaplan's L(N, S).
pub(super) const KAPLAN_STEPS: [&[Field]; 3] = [&[Field::ParamsNonEmbedding, Field::Params], STEPS, LOSS];
/// Runs at several batch sizes.
pub(super) const CRITICAL_BATCH: [&[Field]; 3] = [BATCH, STEPS, LOSS];
/// The rules of a spec follow parameters of blocks and unembedding.
pub(super) const TUNING: [&[Field]; 5] =
    [&[Field::ParamsBlocksAndUnembedding, Field::Params], LENGTH, &[Field::LearningRate], BATCH, LOSS];
/// Pruned data.
pub(super) const PRUNING: [&[Field]; 3] = [&[Field::Keep], LENGTH, LOSS];

/// What tells unique tokens: their own column, or that of epochs where it alone is there.
pub(super) fn unique(request: &Request) -> Result<&'static [Field], TableError> {
    let tells = |field| table::tells(&request.args.runs, &request.columns, field);
    let by_epochs = !tells(Field::UniqueTokens)? && tells(Field::Epochs)?;
    Ok(if by_epochs { &[Field::Epochs] } else { &[Field::UniqueTokens] })
}
