//! What columns may hold, and how they are renamed.

use crate::fit::table::TableError;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Number of parameters, embeddings included.
    Params,
    /// Parameters without embedding and unembedding.
    ParamsNonEmbedding,
    /// Parameters of blocks and unembedding.
    ParamsBlocksAndUnembedding,
    /// Training tokens, repeats included.
    Tokens,
    /// Training FLOPs.
    Flops,
    /// The IsoFLOP budget, in FLOPs.
    FlopBudget,
    /// Final loss in nats per token.
    Loss,
    /// Its standard error.
    LossSe,
    /// Seed of the run.
    Seed,
    /// How the run ended.
    Status,
    /// Different tokens among those trained on.
    UniqueTokens,
    /// How often each of them was seen, on average; one pass that was not finished counts as less than 1.
    Epochs,
    /// Batch size, in examples or tokens: what it counts is the unit of every result.
    Batch,
    /// Peak learning rate.
    LearningRate,
    /// Optimizer steps.
    Steps,
    /// Share of the data that pruning kept, above 0 and up to 1.
    Keep,
    /// Examples of the smaller of two batches.
    SmallBatch,
    /// Squared norm of its gradient.
    SmallNorm,
    /// Examples of the bigger of two batches.
    BigBatch,
    /// Squared norm of its gradient.
    BigNorm,
    /// Any number, of a column that a formula names.
    Other,
}

impl Field {
    pub(super) const ALL: [Self; 20] = [
        Self::Params,
        Self::ParamsNonEmbedding,
        Self::ParamsBlocksAndUnembedding,
        Self::Tokens,
        Self::Flops,
        Self::FlopBudget,
        Self::Loss,
        Self::LossSe,
        Self::Seed,
        Self::Status,
        Self::UniqueTokens,
        Self::Epochs,
        Self::Batch,
        Self::LearningRate,
        Self::Steps,
        Self::Keep,
        Self::SmallBatch,
        Self::SmallNorm,
        Self::BigBatch,
        Self::BigNorm,
    ];

    /// The names of this program for it, the preferred one first; they come before those of other people.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Params => &["params"],
            Self::ParamsNonEmbedding => &["params_non_embedding"],
            Self::ParamsBlocksAndUnembedding => &["params_blocks_and_unembedding"],
            Self::Tokens => &["tokens"],
            Self::Flops => &["flops"],
            Self::FlopBudget => &["flop_budget", "budget"],
            Self::Loss => &["val_loss", "loss"],
            Self::LossSe => &["val_loss_se", "loss_se"],
            Self::Seed => &["seed"],
            Self::Status => &["status"],
            Self::UniqueTokens => &["unique_tokens"],
            Self::Epochs => &["epochs"],
            Self::Batch => &["batch", "batch_tokens"],
            Self::LearningRate => &["learning_rate", "lr"],
            Self::Steps => &["steps", "step"],
            Self::Keep => &["keep"],
            Self::SmallBatch => &["small_batch"],
            Self::SmallNorm => &["small_norm2"],
            Self::BigBatch => &["big_batch"],
            Self::BigNorm => &["big_norm2"],
            Self::Other => &[],
        }
    }
}

impl Field {
    /// Whether it is a count, which people write as 5.06M; what is none, such as a loss, has a few digits.
    pub(super) fn is_count(self) -> bool {
        use Field::{
            Batch, BigBatch, FlopBudget, Flops, Params, ParamsBlocksAndUnembedding, ParamsNonEmbedding, SmallBatch,
            Steps, Tokens, UniqueTokens,
        };
        matches!(
            self,
            Params
                | ParamsNonEmbedding
                | ParamsBlocksAndUnembedding
                | Tokens
                | Flops
                | FlopBudget
                | UniqueTokens
                | Batch
                | Steps
                | SmallBatch
                | BigBatch
        )
    }
}

/// The renamed columns of `--columns "params=N[M],tokens=D"`.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    fields: Vec<(Field, String)>,
    /// Names in a formula that are no fields.
    names: Vec<(String, String)>,
}

impl Columns {
    /// Reads `field=column` pairs; a piece without `=` belongs to the one before it, whose column has a comma in its name.
    pub fn parse(pieces: &[String]) -> Result<Self, TableError> {
        let columns = Self::of_formula(pieces)?;
        match columns.names.first() {
            Some((name, column)) => {
                Err(TableError::Columns { pair: format!("{name}={column}"), known: known_fields() })
            }
            None => Ok(columns),
        }
    }

    /// The same for a formula, any name in which may be another column's.
    pub fn of_formula(pieces: &[String]) -> Result<Self, TableError> {
        let mut pairs: Vec<String> = Vec::new();
        for piece in pieces {
            match pairs.last_mut() {
                Some(pair) if !piece.contains('=') => *pair = format!("{pair},{piece}"),
                _ => pairs.push(piece.clone()),
            }
        }
        let mut columns = Self::default();
        for pair in &pairs {
            let wrong = || TableError::Columns { pair: pair.clone(), known: known_fields() };
            let (name, column) = pair.split_once('=').ok_or_else(wrong)?;
            let (name, column) = (name.trim(), column.trim());
            if column.is_empty() || name.is_empty() {
                return Err(wrong());
            }
            let field = Field::ALL.into_iter().find(|field| field.names().contains(&name));
            let twice = match field {
                Some(field) => columns.fields.iter().any(|(other, _)| *other == field),
                None => columns.column(name).is_some(),
            };
            if twice {
                return Err(TableError::NamedTwice { name: name.to_owned() });
            }
            match field {
                Some(field) => columns.fields.push((field, column.to_owned())),
                None => columns.names.push((name.to_owned(), column.to_owned())),
            }
        }
        Ok(columns)
    }

    /// The column that was named for a field, with its unit as it was written.
    pub fn named(&self, field: Field) -> Option<&str> {
        self.fields.iter().find(|(renamed, _)| *renamed == field).map(|(_, column)| column.as_str())
    }

    /// The column of a name in a formula that is no field.
    pub(super) fn column(&self, name: &str) -> Option<&str> {
        self.names.iter().find(|(renamed, _)| renamed == name).map(|(_, column)| column.as_str())
    }

    /// Takes a column for a name in a formula that nobody renamed.
    pub fn name(&mut self, name: &str, column: &str) {
        if self.column(name).is_none() {
            self.names.push((name.to_owned(), column.to_owned()));
        }
    }

    /// Whether somebody renamed a name in a formula.
    pub fn renames(&self, name: &str) -> bool {
        self.column(name).is_some()
    }

    /// Whether a column was named for some field.
    pub(super) fn takes(&self, column: &str) -> bool {
        let is = |asked: &str| asked == column || asked.rsplit_once('[').is_some_and(|(base, _)| base.trim() == column);
        self.fields.iter().any(|(_, asked)| is(asked))
    }
}

fn known_fields() -> String {
    Field::ALL.map(|field| field.names()[0]).join(", ")
}
