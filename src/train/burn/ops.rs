//! The operations of the model, each fused where the device has it and composed elsewhere. `[n, d]` has one row for
//! each token of the batch, sequence after sequence.

use burn::tensor::{Device, Int, Tensor};

use super::composed;
#[cfg(any(feature = "cpu", feature = "wgpu"))]
use super::kernels;
use super::positions::Positions;
use crate::optimizer::{Matrix, OptimizerKind, Update, muon};
use crate::spec::Precision;

/// Which implementation a model uses: decided once, by its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ops {
    /// burn's own operations.
    Composed,
    /// Kernels of our own.
    #[cfg(any(feature = "cpu", feature = "wgpu"))]
    Fused,
}

impl Ops {
    /// The fastest implementation on a device.
    pub fn on(device: &Device) -> Self {
        #[cfg(any(feature = "cpu", feature = "wgpu"))]
        if kernels::serve(device) {
            return Self::Fused;
        }
        let _ = device;
        Self::Composed
    }

    /// Whether factors of products can have this precision on a device.
    pub fn compute_in(device: &Device, precision: Precision) -> bool {
        #[cfg(feature = "cpu")]
        if kernels::parts::serve(device) {
            return kernels::available(precision);
        }
        let _ = device;
        precision == Precision::F32
    }

    /// The product of `x` `[n, inputs]` and `weight` `[inputs, outputs]`, of factors in a precision that the device has.
    pub fn product(self, x: Tensor<2>, weight: Tensor<2>, precision: Precision) -> Tensor<2> {
        #[cfg(feature = "cpu")]
        if (self, precision) == (Self::Fused, Precision::Bf16) {
            return kernels::parts::rounded_product(x, weight);
        }
        let _ = precision;
        x.matmul(weight)
    }

    /// Root-mean-square normalization of each row of `x` `[n, d]`, times `gain` `[1, d]`.
    pub fn rms_norm(self, x: Tensor<2>, gain: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Composed => composed::rms_norm(x, gain),
            #[cfg(any(feature = "cpu", feature = "wgpu"))]
            Self::Fused => kernels::rms_norm(x, gain),
        }
    }

    /// x Phi(x).
    pub fn gelu(self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Composed => composed::gelu(x),
            #[cfg(any(feature = "cpu", feature = "wgpu"))]
            Self::Fused => kernels::gelu(x),
        }
    }

    /// Causal attention with rotary positions on packed `qkv` `[n, 3 d]`, logits `scale` q.k; returns `[n, d]`.
    pub fn attention(self, qkv: Tensor<2>, heads: usize, positions: &Positions, scale: f64) -> Tensor<2> {
        match self {
            Self::Composed => composed::attention(qkv, heads, positions, scale),
            #[cfg(any(feature = "cpu", feature = "wgpu"))]
            Self::Fused => kernels::attention(qkv, positions.cos.clone(), positions.sin.clone(), heads, scale),
        }
    }

    /// Rows of the embedding `[vocab, d]` for `ids` `[n]`.
    pub fn embed(self, embedding: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
        match self {
            Self::Composed => composed::embed(embedding, ids),
            #[cfg(any(feature = "cpu", feature = "wgpu"))]
            Self::Fused => kernels::embed(embedding, ids),
        }
    }

    /// Cross entropy of each token `[n]`, in nats, of logits `multiplier` x `unembedding`, with `x` `[n, d]` and
    /// `unembedding` `[d, vocab]`. Without gradients.
    pub fn token_losses(
        self,
        x: Tensor<2>,
        head: Tensor<2>,
        multiplier: f64,
        targets: Tensor<1, Int>,
        precision: Precision,
    ) -> Tensor<1> {
        let _ = precision;
        match self {
            Self::Composed => composed::token_losses(x, head, multiplier, targets),
            #[cfg(any(feature = "cpu", feature = "wgpu"))]
            Self::Fused => kernels::token_losses(x, head, multiplier, targets, precision),
        }
    }

    /// The mean `[1]` of the cross entropies.
    pub fn mean_loss(
        self,
        x: Tensor<2>,
        head: Tensor<2>,
        multiplier: f64,
        targets: Tensor<1, Int>,
        precision: Precision,
    ) -> Tensor<1> {
        let _ = precision;
        match self {
            Self::Composed => composed::token_losses(x, head, multiplier, targets).mean(),
            #[cfg(any(feature = "cpu", feature = "wgpu"))]
            Self::Fused => kernels::mean_loss(x, head, multiplier, targets, precision),
        }
    }

    /// One AdamW step of value, first and second moment of each weight, after their gradients' common norm is brought down
    /// to `limit`, if that is above 0. Without gradients.
    pub fn adamw(
        self,
        states: Vec<[Tensor<2>; 3]>,
        gradients: Vec<Tensor<2>>,
        limit: f64,
        updates: &[Update],
    ) -> Vec<[Tensor<2>; 3]> {
        match self {
            Self::Composed => composed::adamw(states, gradients, limit, updates),
            #[cfg(any(feature = "cpu", feature = "wgpu"))]
            Self::Fused => kernels::adamw(states, gradients, limit, updates),
        }
    }

    /// One step of a weight by SGD, Lion or Muon: value and momentum, from its gradient. Without gradients.
    pub fn momentum(
        self,
        kind: OptimizerKind,
        state: [Tensor<2>; 2],
        gradient: Tensor<2>,
        update: &Update,
    ) -> [Tensor<2>; 2] {
        match self {
            _ if kind == OptimizerKind::Muon => muon::step(state, gradient, update),
            Self::Composed => composed::momentum(kind, state, gradient, update),
            #[cfg(any(feature = "cpu", feature = "wgpu"))]
            Self::Fused => kernels::momentum(kind, state, gradient, update),
        }
    }

    /// Sum of squares `[1]`. Without gradients.
    pub fn sum_squares(self, x: Tensor<2>) -> Tensor<1> {
        match self {
            Self::Composed => x.square().sum(),
            #[cfg(any(feature = "cpu", feature = "wgpu"))]
            Self::Fused => kernels::sum_squares(x),
        }
    }
}

/// `x` times a multiplier of the parameterization, which is 1 more often than not.
#[allow(clippy::float_cmp)] // exactly 1 is the case of the base width, where nothing may change
pub fn scaled(x: Tensor<2>, multiplier: f64) -> Tensor<2> {
    if multiplier == 1.0 { x } else { x.mul_scalar(multiplier) }
}

impl Matrix for Tensor<2> {
    fn shape(&self) -> [usize; 2] {
        self.dims()
    }

    fn transposed(self) -> Self {
        self.transpose()
    }

    fn product(self, other: Self) -> Self {
        self.matmul(other)
    }

    fn normalized(self) -> Self {
        let squares = Ops::on(&self.device()).sum_squares(self.clone());
        self * squares.sqrt().add_scalar(f32::MIN_POSITIVE).recip().unsqueeze::<2>()
    }
}
