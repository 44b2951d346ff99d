//! Causal self-attention (Vaswani et al. 2017, arXiv 1706.03762) on packed queries, keys and values.

use crate::model::layout::{Family, Layout, Source};
use crate::model::ops::Ops;
use crate::model::part::Part;
use crate::model::sizes::Sizes;
use crate::model::weight::Weight;

pub struct Attention;

impl Part for Attention {
    fn weights(&self, sizes: &Sizes) -> Vec<Weight> {
        let d = sizes.width;
        let qkv = Weight { queries: d, ..Weight::hidden("qkv", [d, 3 * d]) };
        vec![qkv, Weight::residual("attention_out", [d, d])]
    }

    fn attended(&self, sizes: &Sizes) -> usize {
        sizes.width
    }

    fn forward<O: Ops>(&self, ops: &O, x: O::Tensor, weights: &[O::Weight]) -> O::Tensor {
        let [qkv, out] = weights else { unreachable!("as declared") };
        let qkv = ops.linear(x, qkv);
        ops.product(ops.attention(qkv), out)
    }

    fn layout(&self, sizes: &Sizes, _: Family) -> Result<Layout, String> {
        let d = sizes.width;
        let queries = Source::Columns { weight: 0, columns: 0..d, queries: true };
        let layout = Layout::default()
            .with("self_attn.q_proj", queries)
            .columns("self_attn.k_proj", 0, d..2 * d)
            .columns("self_attn.v_proj", 0, 2 * d..3 * d)
            .columns("self_attn.o_proj", 1, 0..d);
        Ok(layout.told("num_key_value_heads", sizes.heads))
    }
}
