//! A model on a device of burn: its weights, what attention knows of positions, and the ways in. What it computes is said
//! by its parts (`crate::model`).

use burn::tensor::{Device, Int, Tensor};

use super::ops::Ops;
use super::pass::{Beside, Multipliers, Pass};
use super::positions::Positions;
use super::watch::{Watch, mean_abs};
use super::weight::Weight;
use crate::model::{Site, head, hidden};
use crate::parameterization::{Role, Rules};
use crate::plan::Run;
use crate::train::initial;

/// A whole model.
#[derive(Clone, Debug)]
pub struct Model {
    /// In the order of [`crate::model::Shape::weights`].
    weights: Vec<Weight>,
    beside: Beside,
}

impl Model {
    /// Draws a model for `run` on `device`.
    pub fn new(run: &Run, device: &Device) -> Self {
        Self::with_rules(run, &run.table(), device)
    }

    /// Draws a model that follows other rules than those of the run's parameterization.
    pub fn with_rules(run: &Run, rules: &dyn Rules, device: &Device) -> Self {
        let shape = run.shape;
        let multiplier = |role| rules.rule(role, shape.width).multiplier;
        let multipliers = Multipliers {
            attention: rules.attention_scale(),
            branch: multiplier(Role::Residual),
            logits: multiplier(Role::Unembedding),
        };
        let weights = initial::weights(run, rules).map(|drawn| Weight::new(drawn, device)).collect();
        let positions = Positions::new(&shape, device);
        let (ops, precision) = (Ops::on(device), run.precision);
        Self { weights, beside: Beside { shape, positions, ops, precision, multipliers } }
    }

    /// The same model with burn's own operations, which the fused ones are tested against.
    #[cfg(test)]
    pub fn composed(mut self) -> Self {
        self.beside.ops = Ops::Composed;
        self
    }

    /// What is minimized, `[1]`, for `ids` and `targets` `[n]`: whole sequences, one after another.
    pub fn mean_loss(&self, ids: Tensor<1, Int>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.losses(ids, targets).1
    }

    /// Mean cross entropy `[1]`, in nats per token, and what is minimized: the same but for what parts add.
    pub fn losses(&self, ids: Tensor<1, Int>, targets: Tensor<1, Int>) -> (Tensor<1>, Tensor<1>) {
        let (x, head, penalty) = self.before_logits(ids, &mut |_, _| {});
        let Beside { ops, multipliers, precision, .. } = self.beside;
        let loss = ops.mean_loss(x, head, multipliers.logits, targets, precision);
        (loss.clone(), penalty.map_or_else(|| loss.clone(), |penalty| loss.clone() + penalty))
    }

    /// Cross entropy of each token `[n]`. Only of a model without gradients.
    pub fn token_losses(&self, ids: Tensor<1, Int>, targets: Tensor<1, Int>) -> Tensor<1> {
        let (x, head, _) = self.before_logits(ids, &mut |_, _| {});
        let Beside { ops, multipliers, precision, .. } = self.beside;
        ops.token_losses(x, head, multipliers.logits, targets, precision)
    }

    /// The most likely token after each, `[n]`. Only of a model without gradients.
    pub fn best_tokens(&self, ids: Tensor<1, Int>) -> Tensor<1, Int> {
        let (x, head, _) = self.before_logits(ids, &mut |_, _| {});
        let logits = self.beside.product(x, head);
        let [n, _] = logits.dims();
        logits.argmax(1).reshape([n])
    }

    /// Shows every activation, up to the logits, for `ids` `[n]`. Only of a model without gradients.
    pub fn watch(&self, ids: Tensor<1, Int>, watch: Watch<'_>) {
        let (x, head, _) = self.before_logits(ids, watch);
        let logits = || self.beside.product(x.clone(), head.clone()).mul_scalar(self.beside.multipliers.logits);
        watch(Site::Logits, &|| mean_abs(logits()));
    }

    /// What the unembedding reads, `[n, width]`, the unembedding `[width, vocab]`, and what parts add to what is minimized.
    fn before_logits(&self, ids: Tensor<1, Int>, watch: Watch<'_>) -> (Tensor<2>, Tensor<2>, Option<Tensor<1>>) {
        let (pass, shape) = (Pass::new(&self.beside, ids, watch), &self.beside.shape);
        let (x, head) = (hidden(&pass, shape, &self.weights), head(&pass, shape, &self.weights));
        (x, head, pass.penalty())
    }

    /// The implementation that this model uses.
    pub fn ops(&self) -> Ops {
        self.beside.ops
    }

    /// All weights, always in the same order.
    pub fn weights_mut(&mut self) -> impl Iterator<Item = &mut Weight> {
        self.weights.iter_mut()
    }

    /// The same model for evaluation: no graph is recorded.
    pub fn without_gradients(&self) -> Self {
        let mut model = self.clone();
        for weight in model.weights_mut() {
            weight.value = weight.value.clone().inner();
        }
        model.beside.positions = model.beside.positions.without_gradients();
        model
    }
}
