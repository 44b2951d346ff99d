//! The model: a decoder-only transformer with pre-norm, rotary positions, untied unembedding, an MLP of four times the
//! width with GELU, and no biases.

use burn::tensor::{Device, Int, Tensor};

use super::coordinates::{Site, Watch, mean_abs, mean_abs_logits};
use super::ops::{Ops, Positions, scaled};
use super::weights::{Initializer, Weight};
use crate::parameterization::{Role, Rules};
use crate::plan::Run;

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
        let mut init = Initializer::new(rules, run.seed, device);
        let zeros = if run.zero_init_unembedding { shape.vocab } else { 0 };
        let scale = rules.attention_scale();
        Self {
            embedding: init.weight("embedding", Role::Embedding, [shape.vocab, shape.width], 0),
            blocks: (0..shape.depth).map(|i| Block::new(run, scale, &format!("blocks.{i}"), &mut init)).collect(),
            norm: init.weight("norm", Role::FinalGain, [1, shape.width], 0),
            unembedding: init.weight("unembedding", Role::Unembedding, [shape.width, shape.vocab], zeros),
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
    fn new(run: &Run, attention_scale: f64, name: &str, init: &mut Initializer<'_>) -> Self {
        let d = run.shape.width;
        let mut weight = |part: &str, role, shape, zeros| init.weight(format!("{name}.{part}"), role, shape, zeros);
        // Queries are the first third of the columns.
        let zero_queries = if run.zero_init_query { d } else { 0 };
        Self {
            heads: run.shape.heads,
            attention_scale,
            norm_attention: weight("norm_attention", Role::BlockGain, [1, d], 0),
            qkv: weight("qkv", Role::Hidden, [d, 3 * d], zero_queries),
            attention_out: weight("attention_out", Role::Residual, [d, d], 0),
            norm_mlp: weight("norm_mlp", Role::BlockGain, [1, d], 0),
            mlp_in: weight("mlp_in", Role::Hidden, [d, 4 * d], 0),
            mlp_out: weight("mlp_out", Role::Residual, [4 * d, d], 0),
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
