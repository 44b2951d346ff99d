//! How a model is written for the `transformers` package: what each part says of its own weights.

use std::ops::Range;

use serde_json::Value;

/// An architecture of the package. All have rotary positions, no biases in attention, and normalize by the root mean
/// square before each branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// An MLP of two matrices.
    Arcee,
    /// A gated MLP.
    Llama,
    /// A gated MLP, and queries and keys that are normalized.
    Qwen3,
    /// Experts, each a gated MLP.
    Mixtral,
    /// Such experts, and queries and keys that are normalized.
    Qwen3Moe,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Arcee, Self::Llama, Self::Qwen3, Self::Mixtral, Self::Qwen3Moe];

    /// Its name in the package.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arcee => "arcee",
            Self::Llama => "llama",
            Self::Qwen3 => "qwen3",
            Self::Mixtral => "mixtral",
            Self::Qwen3Moe => "qwen3_moe",
        }
    }

    /// Whether its blocks have experts.
    pub fn has_experts(self) -> bool {
        matches!(self, Self::Mixtral | Self::Qwen3Moe)
    }

    /// Whether it normalizes queries and keys.
    pub fn has_qk_norm(self) -> bool {
        matches!(self, Self::Qwen3 | Self::Qwen3Moe)
    }
}

/// A tensor of the package.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name, without that of the block and without `.weight`.
    pub name: String,
    /// Its numbers.
    pub source: Source,
}

impl Tensor {
    /// The same of weights that stand further on.
    fn moved(mut self, places: usize) -> Self {
        match &mut self.source {
            Source::Columns { weight, .. }
            | Source::Whole(weight)
            | Source::QueryGain(weight)
            | Source::Scaled(weight, _) => *weight += places,
            Source::Matrix(..) | Source::Bias(..) => {}
        }
        self
    }
}

/// Where the numbers of a tensor come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Columns of a part's weight (by its place among them), which become rows: the package has `[outputs, inputs]`.
    Columns {
        /// Which weight.
        weight: usize,
        /// Which of its columns.
        columns: Range<usize>,
        /// Whether they make queries, into which the attention scale goes: the package's is always 1/sqrt(head size).
        queries: bool,
    },
    /// The gain by which queries are normalized, into which the attention scale goes.
    QueryGain(usize),
    /// The weight as it is: a gain as a vector, rows that are looked up.
    Whole(usize),
    /// The weight times a factor.
    Scaled(usize, f64),
    /// A constant matrix.
    Matrix([usize; 2], f32),
    /// A constant vector, written as the bias of that name.
    Bias(usize, f32),
}

/// What a part becomes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// Its tensors.
    pub tensors: Vec<Tensor>,
    /// What it adds to `config.json`.
    pub config: Vec<(&'static str, Value)>,
}

impl Layout {
    /// Adds the columns of a weight.
    #[must_use]
    pub fn columns(self, name: &str, weight: usize, columns: Range<usize>) -> Self {
        self.with(name, Source::Columns { weight, columns, queries: false })
    }

    /// Adds a tensor.
    #[must_use]
    pub fn with(mut self, name: &str, source: Source) -> Self {
        self.tensors.push(Tensor { name: name.to_owned(), source });
        self
    }

    /// Adds what another part becomes, whose weights begin at `place`.
    #[must_use]
    pub fn then(mut self, place: usize, other: Self) -> Self {
        self.tensors.extend(other.tensors.into_iter().map(|tensor| tensor.moved(place)));
        self.config.extend(other.config);
        self
    }

    /// Adds a line of `config.json`.
    #[must_use]
    pub fn told(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.config.push((key, value.into()));
        self
    }
}
