//! One measured point: the noun that the ledger writes and the fits read.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Which weights count as parameters. The choice moves the fitted exponents, so fits are shown under all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counting {
    /// Every weight, embeddings included (Hoffmann et al. 2022).
    #[value(help = "Every weight (Hoffmann et al.)")]
    All,
    /// The blocks alone, without embedding and unembedding (Kaplan et al. 2020).
    #[value(help = "The blocks alone (Kaplan et al.)")]
    NonEmbedding,
    /// Blocks and unembedding: the weights that take part in a matrix product (Porian et al. 2024).
    #[value(help = "Blocks and unembedding (Porian et al.)")]
    BlocksAndUnembedding,
}

impl Counting {
    /// All conventions, in the order in which tables show them.
    pub const ALL: [Self; 3] = [Self::All, Self::NonEmbedding, Self::BlocksAndUnembedding];

    /// The name used in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::NonEmbedding => "non_embedding",
            Self::BlocksAndUnembedding => "blocks_and_unembedding",
        }
    }
}

/// The final state of one training run, or one row of somebody's table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Number of all parameters.
    pub params: f64,
    /// Number of parameters without embedding and unembedding, where known.
    pub params_non_embedding: Option<f64>,
    /// Number of parameters of blocks and unembedding, where known.
    pub params_blocks_and_unembedding: Option<f64>,
    /// Training tokens.
    pub tokens: f64,
    /// Training FLOPs.
    pub flops: f64,
    /// The IsoFLOP budget that the run belongs to, in FLOPs.
    pub flop_budget: Option<f64>,
    /// The budget that it shares with runs of slightly other FLOPs, where runs were put together so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_budget: Option<f64>,
    /// Final loss, in nats per token.
    pub loss: f64,
    /// Standard error of the loss, in nats, where known.
    pub loss_se: Option<f64>,
    /// Seed of the run: runs that differ in it alone are repeats of each other.
    pub seed: Option<u64>,
}

impl Observation {
    /// A run of which no more is known than this, in FLOPs that are 6ND.
    pub fn of(params: f64, tokens: f64, loss: f64) -> Self {
        Self {
            params,
            params_non_embedding: None,
            params_blocks_and_unembedding: None,
            tokens,
            flops: 6.0 * params * tokens,
            flop_budget: None,
            shared_budget: None,
            loss,
            loss_se: None,
            seed: None,
        }
    }

    /// The budget in FLOPs that it is compared at: the one that it shares, or its own.
    pub fn budget(&self) -> f64 {
        self.shared_budget.unwrap_or(self.own_budget())
    }

    /// The budget of its own, or the FLOPs where none is known.
    pub fn own_budget(&self) -> f64 {
        self.flop_budget.unwrap_or(self.flops)
    }

    /// Parameters by a convention, or nothing where the table does not tell.
    pub fn params_by(&self, counting: Counting) -> Option<f64> {
        match counting {
            Counting::All => Some(self.params),
            Counting::NonEmbedding => self.params_non_embedding,
            Counting::BlocksAndUnembedding => self.params_blocks_and_unembedding,
        }
    }
}
