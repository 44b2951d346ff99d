//! Mixture of experts (Shazeer et al. 2017, arXiv 1701.06538): a router gives each token to the few MLPs that it finds
//! likeliest, and their outputs are summed by its probabilities, over their sum. No token is ever dropped.
//!
//! Each expert is the MLP that `model.mlp` names. What keeps the router from always taking the same is the loss of Fedus et
//! al. 2021 (arXiv 2101.03961, equation 4), added for each block: with f the shares of tokens that experts get and P their
//! mean probabilities, `balance` x count x sum of f P, which is `balance` where all get the same. The reported loss is
//! without it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mlp;
use crate::model::layout::{Family, Layout};
use crate::model::ops::Ops;
use crate::model::sizes::Sizes;
use crate::model::weight::Weight;

/// `[model.experts]`: many MLPs in each block, of which each token goes through a few.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experts {
    /// Experts of each block.
    pub count: usize,
    /// Experts that each token goes through.
    pub active: usize,
    /// Experts that every token goes through besides; 0 if not written (Dai et al. 2024, arXiv 2401.06066).
    #[serde(default)]
    pub shared: usize,
    /// How many experts have the parameters of one MLP without experts: each is so much narrower; 1 if not written
    /// (Krajewski et al. 2024, arXiv 2402.07871).
    #[serde(default = "one")]
    pub granularity: usize,
    /// Weight of the loss that keeps the load of experts even; 0 turns it off.
    pub balance: f64,
}

fn one() -> usize {
    1
}

impl Experts {
    /// Weights of the router, then of each expert, the shared ones last.
    pub fn weights(&self, mlp: Mlp, sizes: &Sizes) -> Vec<Weight> {
        let share = self.active as f64 / self.count as f64;
        let expert = |name: String, share| {
            let of_it = move |weight: Weight| Weight { name: format!("{name}.{}", weight.name), share, ..weight };
            mlp.weights(sizes).into_iter().map(of_it)
        };
        let mut weights = vec![Weight::router("router", [sizes.width, self.count])];
        weights.extend((0..self.count).flat_map(|i| expert(format!("experts.{i}"), share)));
        weights.extend((0..self.shared).flat_map(|i| expert(format!("shared.{i}"), 1.0)));
        weights
    }

    /// Their tensors in the `transformers` package, whose architectures with experts take the same mean of outputs.
    pub fn layout(&self, mlp: Mlp, sizes: &Sizes, family: Family) -> Result<Layout, String> {
        if !family.has_experts() {
            let other = if sizes.qk_norm { "qwen3-moe" } else { "mixtral" };
            return Err(format!("[model.experts]: {} has no experts; write --architecture {other}", family.name()));
        }
        if self.shared > 0 {
            let name = family.name();
            return Err(format!("[model.experts] shared = {}: {name} has no expert for every token", self.shared));
        }
        let one = mlp.layout(sizes, family)?;
        // Mixtral's names are of its own: gate, what it multiplies, and the matrix behind both.
        let (router, experts, names) = match family {
            Family::Mixtral => ("block_sparse_moe.gate", "block_sparse_moe.experts", ["w1", "w3", "w2"]),
            _ => ("mlp.gate", "mlp.experts", ["gate_proj", "up_proj", "down_proj"]),
        };
        let mut layout = Layout::default().columns(router, 0, 0..self.count);
        for expert in 0..self.count {
            let mut of_it = Layout { tensors: one.tensors.clone(), config: Vec::new() };
            for (tensor, name) in of_it.tensors.iter_mut().zip(names) {
                tensor.name = format!("{experts}.{expert}.{name}");
            }
            layout = layout.then(1 + expert * mlp.weights(sizes).len(), of_it);
        }
        layout.config = one.config.into_iter().filter(|(key, _)| *key != "mlp_bias").collect();
        let hidden = layout.config.iter().find(|(key, _)| *key == "intermediate_size").map(|(_, value)| value.clone());
        let told = layout.told("num_experts_per_tok", self.active).told("router_aux_loss_coef", self.balance);
        Ok(match family {
            Family::Mixtral => told.told("num_local_experts", self.count),
            // Its experts come in every block, and their outputs are summed by shares that sum to 1.
            _ => told
                .told("num_experts", self.count)
                .told("moe_intermediate_size", hidden)
                .told("norm_topk_prob", true)
                .told("decoder_sparse_step", 1),
        })
    }

    /// What they compute of `x` `[rows, width]`.
    #[allow(clippy::needless_pass_by_value)] // As parts take it.
    pub fn forward<O: Ops>(&self, mlp: Mlp, ops: &O, x: O::Tensor, weights: &[O::Weight]) -> O::Tensor {
        let of_one = mlp.weights(ops.sizes()).len();
        let (router, experts) = weights.split_first().expect("as declared");
        let (routed, shared) = experts.split_at(self.count * of_one);
        let probabilities = ops.softmax(ops.linear(x.clone(), router));
        let rows = ops.largest(&probabilities, self.active);
        if self.balance > 0.0 {
            self.keep_even(ops, &probabilities, &rows);
        }
        let gates = ops.kept_shares(probabilities, &rows);
        let tokens = rows.iter().map(Vec::len).sum::<usize>() / self.active;
        let mut out = Vec::new();
        for (expert, (rows, weights)) in rows.iter().zip(routed.chunks_exact(of_one)).enumerate() {
            // One that nobody chose still takes part, with a token whose gate for it is zero: each weight has a gradient.
            let spare = [expert % tokens];
            let rows = if rows.is_empty() { &spare[..] } else { rows };
            let gate = ops.pick(&ops.columns(&gates, expert..expert + 1), rows);
            out.push((rows.to_vec(), ops.multiply(mlp.forward(ops, ops.pick(&x, rows), weights), gate)));
        }
        let mixed = ops.gather(out);
        shared.chunks_exact(of_one).fold(mixed, |sum, weights| ops.add(sum, mlp.forward(ops, x.clone(), weights)))
    }

    /// Adds the loss that keeps the load even.
    fn keep_even<O: Ops>(&self, ops: &O, probabilities: &O::Tensor, rows: &[Vec<usize>]) {
        let chosen: usize = rows.iter().map(Vec::len).sum();
        let share = |rows: &Vec<usize>| (rows.len() * self.count) as f64 / chosen as f64 * self.balance;
        ops.penalize(probabilities, &rows.iter().map(share).collect::<Vec<f64>>());
    }
}
