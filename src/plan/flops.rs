//! Training FLOPs per token, by every convention in use. Which one is taken moves the exponents, so all are kept.

use serde::{Deserialize, Serialize};

use super::ParamCounts;
use crate::model::{Shape, Weight};
use crate::spec::OwnSize;

/// Training FLOPs per token (forward and backward) by convention.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlopsPerToken {
    /// Every matrix product that is needed: blocks, causal attention (each position reads the keys up to itself) and
    /// unembedding, times 3 for training. The default.
    pub exact: f64,
    /// 6 x all parameters, of experts the active ones (Hoffmann et al. 2022, arXiv 2203.15556, approach 3).
    pub hoffmann: f64,
    /// 6 x parameters of blocks and unembedding (Porian et al. 2024, arXiv 2406.19146).
    pub porian: f64,
    /// 6 x parameters of the blocks (Kaplan et al. 2020, arXiv 2001.08361).
    pub kaplan: f64,
    /// Blocks, unembedding and unmasked attention, 12 T width depth (PaLM, arXiv 2204.02311, appendix B).
    pub palm: f64,
    /// Appendix F of Hoffmann et al.: embedding as a product, softmax counted, attention unmasked.
    pub chinchilla: f64,
    /// Levanter's and Marin's count: unmasked attention with softmax, no embedding.
    pub levanter: f64,
}

impl FlopsPerToken {
    /// Counts a shape by every convention.
    pub fn of(shape: &Shape) -> Self {
        let params = ParamCounts::of(shape);
        let [d, l, t, v] = [shape.width, shape.depth, shape.context, shape.vocab].map(|x| x as f64);
        // The matrices of the blocks; gains take part in no product.
        let matrices = l * block_products(shape);
        let products = matrices + v * d;
        let a = shape.parts.mixer.attended(&shape.sizes()) as f64;
        let softmax = if a > 0.0 { 3.0 * shape.heads as f64 * t } else { 0.0 };
        let unmasked = l * (4.0 * t * a + softmax);
        Self {
            exact: 6.0 * products + 6.0 * l * a * (t + 1.0),
            hoffmann: 6.0 * params.active() as f64,
            porian: 6.0 * products,
            kaplan: 6.0 * matrices,
            palm: 6.0 * products + 12.0 * l * t * a,
            chinchilla: 3.0 * (2.0 * v * d + 2.0 * matrices + unmasked + 2.0 * d * v),
            levanter: 3.0 * (2.0 * matrices + unmasked + 2.0 * d * v),
        }
    }
}

impl FlopsPerToken {
    /// What a program tells of a model of its own. Conventions that need a shape have the count that it tells; tables leave
    /// them empty.
    pub fn told(size: &OwnSize) -> Self {
        let OwnSize { params, params_non_embedding, params_blocks_and_unembedding, flops_per_token, .. } = *size;
        let six = |params: Option<f64>| params.map_or(flops_per_token, |params| 6.0 * params);
        Self {
            exact: flops_per_token,
            hoffmann: 6.0 * params,
            porian: six(params_blocks_and_unembedding),
            kaplan: six(params_non_embedding),
            palm: flops_per_token,
            chinchilla: flops_per_token,
            levanter: flops_per_token,
        }
    }
}

/// Parameters of one block that a token is multiplied with.
pub fn block_products(shape: &Shape) -> f64 {
    let product = |weight: &Weight| weight.count() as f64 * weight.share;
    shape.block().iter().filter(|weight| weight.is_matrix()).map(product).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Parts;

    /// GPT-2 small. The numbers come from a count matrix by matrix and, for causal attention, position by position.
    const GPT2: Shape = Shape { width: 768, depth: 12, heads: 12, context: 1024, vocab: 50_257, parts: Parts::FIRST };
    const SMALL: Shape = Shape { width: 64, depth: 2, heads: 4, context: 64, vocab: 512, parts: Parts::FIRST };

    #[test]
    fn every_convention_agrees_with_an_independent_count() {
        let expected = |exact, hoffmann, porian, kaplan, palm, chinchilla, levanter| FlopsPerToken {
            exact,
            hoffmann,
            porian,
            kaplan,
            palm,
            chinchilla,
            levanter,
        };
        let gpt2 = expected(
            797_870_592.0,
            972_891_648.0,
            741_192_192.0,
            509_607_936.0,
            854_438_400.0,
            1_087_349_760.0,
            855_765_504.0,
        );
        assert_eq!(FlopsPerToken::of(&GPT2), gpt2);
        let small = expected(836_352.0, 984_960.0, 786_432.0, 589_824.0, 884_736.0, 1_085_952.0, 889_344.0);
        assert_eq!(FlopsPerToken::of(&SMALL), small);
    }

    #[test]
    fn the_exact_count_is_the_sum_over_positions_of_what_each_reads() {
        for shape in [GPT2, SMALL, Shape { width: 32, depth: 5, heads: 2, context: 7, vocab: 300, ..SMALL }] {
            let [d, v] = [shape.width, shape.vocab].map(|x| x as f64);
            let mut forward = 0.0;
            for position in 0..shape.context {
                let keys = (position + 1) as f64;
                let block = [3.0 * d * d, d * d, 4.0 * d * d, 4.0 * d * d, keys * d, keys * d];
                forward += 2.0 * (shape.depth as f64 * block.iter().sum::<f64>() + d * v);
            }
            let exact = FlopsPerToken::of(&shape).exact * shape.context as f64;
            assert!((exact / (3.0 * forward) - 1.0).abs() < 1e-12, "{shape:?}");
        }
    }
}
