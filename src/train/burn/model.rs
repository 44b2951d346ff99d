//! The model: a decoder-only transformer with pre-norm, rotary positions, untied unembedding, an MLP of four times the
//! width with GELU, and no biases.

use burn::tensor::{Device, Int, Tensor};

use super::ops::{Ops, scaled};
use super::positions::Positions;
use super::watch::{Watch, mean_abs, mean_abs_logits};
use super::weight::Weight;
use crate::parameterization::Rules;
use crate::plan::Run;
use crate::train::initial;
use crate::train::site::Site;

/// A whole model.
#[derive(Clone, Debug)]
pub struct Model {
    embedding: Weight,
    blocks: Vec<Block>,
    norm: Weight,
    unembedding: Weight,
    positions: Positions,
    ops: Ops,
}

/// One block: attention and MLP, each behind a normalization and added to the residual stream.
#[derive(Clone, Debug)]
struct Block {
    heads: usize,
    attention_scale: f64,
    norm_attention: Weight,
    qkv: Weight,
    attention_out: Weight,
    norm_mlp: Weight,
    mlp_in: Weight,
    mlp_out: Weight,
}

impl Model {
    /// Draws a model for `run` on `device`.
    pub fn new(run: &Run, device: &Device) -> Self {
        Self::with_rules(run, &run.table(), device)
    }

    /// Draws a model that follows other rules than those of the run's parameterization.
    pub fn with_rules(run: &Run, rules: &dyn Rules, device: &Device) -> Self {
        let shape = run.shape;
        let mut weights = initial::weights(run, rules).map(|drawn| Weight::new(drawn, device));
        let mut next = || weights.next().expect("a model has all its weights");
        Self {
            embedding: next(),
            blocks: (0..shape.depth).map(|_| Block::new(shape.heads, rules.attention_scale(), &mut next)).collect(),
            norm: next(),
            unembedding: next(),
            positions: Positions::new(shape.context, shape.head_dim(), device),
            ops: Ops::on(device),
        }
    }

    /// The same model with burn's own operations, which the fused ones are tested against.
    #[cfg(test)]
    pub fn composed(mut self) -> Self {
        self.ops = Ops::Composed;
        self
    }

    /// Mean cross entropy `[1]`, in nats per token, for `ids` and `targets` `[n]`: whole sequences, one after another.
    pub fn mean_loss(&self, ids: Tensor<1, Int>, targets: Tensor<1, Int>) -> Tensor<1> {
        let Weight { value, rule, .. } = &self.unembedding;
        self.ops.mean_loss(self.hidden(ids, &mut |_, _| {}), value.clone(), rule.multiplier, targets)
    }

    /// Cross entropy of each token `[n]`. Only of a model without gradients.
    pub fn token_losses(&self, ids: Tensor<1, Int>, targets: Tensor<1, Int>) -> Tensor<1> {
        let Weight { value, rule, .. } = &self.unembedding;
        self.ops.token_losses(self.hidden(ids, &mut |_, _| {}), value.clone(), rule.multiplier, targets)
    }

    /// Shows every activation, up to the logits, for `ids` `[n]`. Only of a model without gradients.
    pub fn watch(&self, ids: Tensor<1, Int>, watch: Watch<'_>) {
        let x = self.hidden(ids, watch);
        watch(Site::Logits, &|| mean_abs(linear(x.clone(), &self.unembedding)));
    }

    /// What the unembedding reads, `[n, width]`.
    fn hidden(&self, ids: Tensor<1, Int>, watch: Watch<'_>) -> Tensor<2> {
        let x = self.ops.embed(self.embedding.value.clone(), ids);
        let mut x = scaled(x, self.embedding.rule.multiplier);
        watch(Site::Embedding, &|| mean_abs(x.clone()));
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(x, &self.positions, self.ops, i, watch);
        }
        let x = self.ops.rms_norm(x, self.norm.value.clone());
        watch(Site::FinalNorm, &|| mean_abs(x.clone()));
        x
    }

    /// The implementation that this model uses.
    pub fn ops(&self) -> Ops {
        self.ops
    }

    /// All weights, always in the same order.
    pub fn weights_mut(&mut self) -> impl Iterator<Item = &mut Weight> {
        let Self { embedding, blocks, norm, unembedding, positions: _, ops: _ } = self;
        let blocks = blocks.iter_mut().flat_map(Block::weights_mut);
        [embedding].into_iter().chain(blocks).chain([norm, unembedding])
    }

    /// The same model for evaluation: no graph is recorded.
    pub fn without_gradients(&self) -> Self {
        let mut model = self.clone();
        for weight in model.weights_mut() {
            weight.value = weight.value.clone().inner();
        }
        model.positions = model.positions.without_gradients();
        model
    }
}

impl Block {
    fn new(heads: usize, attention_scale: f64, next: &mut dyn FnMut() -> Weight) -> Self {
        Self {
            heads,
            attention_scale,
            norm_attention: next(),
            qkv: next(),
            attention_out: next(),
            norm_mlp: next(),
            mlp_in: next(),
            mlp_out: next(),
        }
    }

    fn forward(&self, x: Tensor<2>, positions: &Positions, ops: Ops, index: usize, watch: Watch<'_>) -> Tensor<2> {
        let normed = ops.rms_norm(x.clone(), self.norm_attention.value.clone());
        let qkv = linear(normed, &self.qkv);
        watch(Site::AttentionLogits(index), &|| mean_abs_logits(&qkv, self.heads, positions, self.attention_scale));
        let mixed = ops.attention(qkv, self.heads, positions, self.attention_scale);
        let attention = mixed.matmul(self.attention_out.value.clone());
        watch(Site::Attention(index), &|| mean_abs(attention.clone()));
        let x = x + scaled(attention, self.attention_out.rule.multiplier);
        let normed = ops.rms_norm(x.clone(), self.norm_mlp.value.clone());
        let mlp = ops.gelu(linear(normed, &self.mlp_in)).matmul(self.mlp_out.value.clone());
        watch(Site::Mlp(index), &|| mean_abs(mlp.clone()));
        let x = x + scaled(mlp, self.mlp_out.rule.multiplier);
        watch(Site::Stream(index), &|| mean_abs(x.clone()));
        x
    }

    fn weights_mut(&mut self) -> [&mut Weight; 6] {
        let Self { norm_attention, qkv, attention_out, norm_mlp, mlp_in, mlp_out, .. } = self;
        [norm_attention, qkv, attention_out, norm_mlp, mlp_in, mlp_out]
    }
}

/// `x` `[n, inputs]` times a weight `[inputs, outputs]` and its multiplier.
fn linear(x: Tensor<2>, weight: &Weight) -> Tensor<2> {
    scaled(x.matmul(weight.value.clone()), weight.rule.multiplier)
}
