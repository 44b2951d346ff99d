//! Causal self-attention (Vaswani et al. 2017, arXiv 1706.03762) on packed queries, keys and values.
//!
//! Several query heads may share one head of keys and values (Ainslie et al. 2023, arXiv 2305.13245), and queries and keys
//! may be normalized, each head by its root mean square (Henry et al. 2020, arXiv 2010.04245; here with a gain for each
//! channel of a head, as in Dehghani et al. 2023, arXiv 2302.05442).

use crate::model::layout::{Family, Layout, Source};
use crate::model::ops::Ops;
use crate::model::part::Part;
use crate::model::sizes::Sizes;
use crate::model::weight::Weight;

pub struct Attention;

impl Part for Attention {
    fn weights(&self, sizes: &Sizes) -> Vec<Weight> {
        let d = sizes.width;
        let qkv = Weight { queries: d, ..Weight::hidden("qkv", [d, d + 2 * sizes.kv_width()]) };
        let mut weights = vec![qkv, Weight::residual("attention_out", [d, d])];
        if sizes.qk_norm {
            weights.extend(["norm_query", "norm_key"].map(|name| Weight::head_gain(name, sizes.head_dim())));
        }
        weights
    }

    fn attended(&self, sizes: &Sizes) -> usize {
        sizes.width
    }

    fn forward<O: Ops>(&self, ops: &O, x: O::Tensor, weights: &[O::Weight]) -> O::Tensor {
        let [qkv, out, gains @ ..] = weights else { unreachable!("as declared") };
        let packed = ops.linear(x, qkv);
        let sizes = ops.sizes();
        let as_read = !sizes.qk_norm && sizes.kv_sharing == 1;
        let packed = if as_read { packed } else { ops.heads(packed, gains) };
        ops.product(ops.attention(packed), out)
    }

    fn layout(&self, sizes: &Sizes, family: Family) -> Result<Layout, String> {
        match (sizes.qk_norm, family.has_qk_norm()) {
            (true, false) => {
                let other = if family.has_experts() { "qwen3-moe" } else { "qwen3" };
                return Err(format!(
                    "model.qk_norm: {} does not normalize queries and keys; write --architecture {other}",
                    family.name()
                ));
            }
            (false, true) => {
                return Err(format!(
                    "model.qk_norm: {} normalizes queries and keys; write another --architecture",
                    family.name()
                ));
            }
            _ => {}
        }
        let (d, kv) = (sizes.width, sizes.kv_width());
        // Normalized, queries forget any factor of theirs.
        let queries = Source::Columns { weight: 0, columns: 0..d, queries: !sizes.qk_norm };
        let layout = Layout::default()
            .with("self_attn.q_proj", queries)
            .columns("self_attn.k_proj", 0, d..d + kv)
            .columns("self_attn.v_proj", 0, d + kv..d + 2 * kv)
            .columns("self_attn.o_proj", 1, 0..d);
        let layout = if sizes.qk_norm {
            layout.with("self_attn.q_norm", Source::QueryGain(2)).with("self_attn.k_norm", Source::Whole(3))
        } else {
            layout
        };
        Ok(layout.told("num_key_value_heads", sizes.heads / sizes.kv_sharing))
    }
}
