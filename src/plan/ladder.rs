//! The ladder of shapes: for each size that is asked for, a width and a depth near it.

use super::{ParamCounts, Shape};
use crate::model::{Parts, Weight};
use crate::observation::Counting;

/// What all shapes of a ladder share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ladder {
    /// Tokens of one sequence.
    pub context: usize,
    /// Size of the vocabulary.
    pub vocab: usize,
    /// Channels of one attention head; widths are its multiples.
    pub head_dim: usize,
    /// Width per block that shapes stay near.
    pub aspect_ratio: f64,
    /// What models are made of.
    pub parts: Parts,
}

/// One step of a ladder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rung {
    /// The size asked for, in parameters of blocks and unembedding.
    pub target: f64,
    /// The shape nearest to it among those larger than the rung before.
    pub shape: Shape,
    /// Whether the shape is near enough to stand for the target.
    pub near: bool,
}

/// A shape further than this factor from its target does not stand for it.
pub const FARTHEST: f64 = 1.25;
/// Shapes are within this factor of the aspect ratio, or as near as whole blocks allow.
const ASPECT_RANGE: f64 = 4.0;
/// Weight of a squared log deviation from the aspect ratio beside one from the size. Loss hardly depends on the shape
/// (Kaplan et al. 2020, arXiv 2001.08361, section 3.1), so twice the aspect ratio costs as much as a size 17% off.
const ASPECT_PENALTY: f64 = 0.05;

/// A single block cannot copy from its context, which takes two (Olsson et al. 2022, arXiv 2209.11895): measured here
/// at 1e12 FLOPs, one block of width 32 ended at 4.00 nats and two at 3.70, far off any smooth curve in size.
const LEAST_DEPTH: f64 = 2.0;

impl Ladder {
    /// The shape of a width and a depth.
    pub fn shape(&self, width: usize, depth: usize) -> Shape {
        let Self { context, vocab, head_dim, parts, .. } = *self;
        Shape { width, depth, heads: width / head_dim, context, vocab, parts }
    }

    /// For each target (parameters of blocks and unembedding, ascending) the best shape that is larger than the one
    /// before, so that no shape stands twice.
    pub fn rungs(&self, targets: &[f64]) -> Vec<Rung> {
        let mut last = 0.0;
        let mut rungs = Vec::with_capacity(targets.len());
        for &target in targets {
            let shape = self.nearest(target, last);
            let near = !Cost::of(size(&shape), target, 1.0).far;
            if near {
                last = size(&shape);
            }
            rungs.push(Rung { target, shape, near });
        }
        rungs
    }

    /// The shape of least cost above a size, one near the target before any that is not.
    fn nearest(&self, target: f64, above: f64) -> Shape {
        let mut best: Option<(Cost, Shape)> = None;
        for width in (1..).map(|groups| groups * self.parts.kv_sharing * self.head_dim) {
            let ideal = width as f64 / self.aspect_ratio;
            let least = (ideal / ASPECT_RANGE).ceil().max(LEAST_DEPTH);
            let most = (ideal * ASPECT_RANGE).floor().max(least);
            let smallest = size(&self.shape(width, least as usize));
            if smallest > target.max(above)
                && let Some((least, shape)) = best
                && Cost::of(smallest, target, 1.0) >= least
            {
                // Wider shapes are only further off.
                return shape;
            }
            let one_block = size(&self.shape(width, 1));
            let block = size(&self.shape(width, 2)) - one_block;
            let depth_at = |params: f64| ((params - one_block) / block + 1.0).floor();
            // On either side of the target, and the first that is larger than the rung before.
            for depth in [depth_at(target), depth_at(target) + 1.0, depth_at(above) + 1.0] {
                let depth = depth.clamp(least, most);
                let shape = self.shape(width, depth as usize);
                let cost = Cost::of(size(&shape), target, depth / ideal);
                if size(&shape) > above && best.is_none_or(|(least, _)| cost < least) {
                    best = Some((cost, shape));
                }
            }
        }
        unreachable!("sizes grow without end")
    }

    /// Parameters (blocks and unembedding) of the model that spends `flops` on `tokens_per_param` tokens for each of
    /// them: C = `FlopsPerToken::exact` * ratio * N, with width and depth as real numbers on the aspect ratio.
    pub fn expected_optimum(&self, flops: f64, tokens_per_param: f64) -> f64 {
        let [t, v] = [self.context, self.vocab].map(|x| x as f64);
        let Squares { held, used, attended } = self.squares();
        let params = |d: f64, squares: f64| squares * d.powi(3) / self.aspect_ratio + v * d;
        // The exact count of `FlopsPerToken` at a depth of width / aspect ratio.
        let cost = |d: f64| {
            let per_token = 6.0 * params(d, used) + 6.0 * attended * d * d / self.aspect_ratio * (t + 1.0);
            per_token * tokens_per_param * params(d, held)
        };
        let (mut low, mut high) = (0.0, 1e12);
        for _ in 0..200 {
            let middle = f64::midpoint(low, high);
            if cost(middle) < flops { low = middle } else { high = middle }
        }
        params(low, held)
    }

    /// What a block of a wide model has, over the square of its width.
    fn squares(&self) -> Squares {
        let shape = self.shape(1024 * self.parts.kv_sharing * self.head_dim, 1);
        let d = shape.width as f64;
        let matrices = |share: fn(&Weight) -> f64| -> f64 {
            shape.block().iter().filter(|weight| weight.is_matrix()).map(|w| w.count() as f64 * share(w)).sum()
        };
        Squares {
            held: matrices(|_| 1.0) / (d * d),
            used: matrices(|weight| weight.share) / (d * d),
            attended: shape.parts.mixer.attended(&shape.sizes()) as f64 / d,
        }
    }
}

/// Of the matrices of a block: parameters, those that a token is multiplied with, both over the square of the width, and
/// channels that attention compares over the width.
struct Squares {
    held: f64,
    used: f64,
    attended: f64,
}

/// How badly a shape serves a target: first whether it is too far to stand for it, then by how much it is off.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct Cost {
    far: bool,
    off: f64,
}

impl Cost {
    fn of(params: f64, target: f64, aspect: f64) -> Self {
        let off_size = (params / target).ln();
        Self { far: off_size.abs() > FARTHEST.ln(), off: off_size.powi(2) + ASPECT_PENALTY * aspect.ln().powi(2) }
    }
}

/// Parameters of blocks and unembedding: what ladders, grids and rules count.
pub fn size(shape: &Shape) -> f64 {
    ParamCounts::of(shape).by(Counting::BlocksAndUnembedding) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::FlopsPerToken;

    /// Targets evenly spaced in log N.
    fn spaced(from: f64, to: f64, count: usize) -> Vec<f64> {
        (0..count).map(|i| from * (to / from).powf(i as f64 / (count - 1) as f64)).collect()
    }

    #[test]
    fn the_expected_optimum_spends_the_budget_at_the_expected_ratio() {
        let ladder = Ladder { context: 128, vocab: 1024, head_dim: 16, aspect_ratio: 32.0, parts: Parts::FIRST };
        let shape = ladder.shape(512, 16);
        let flops = FlopsPerToken::of(&shape).exact * 20.0 * size(&shape);
        // Only the gains, which the real-valued ladder does not have, make a difference.
        assert!((ladder.expected_optimum(flops, 20.0) / size(&shape) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn a_target_below_the_smallest_shape_gets_it_but_not_as_near() {
        let ladder = Ladder { context: 64, vocab: 512, head_dim: 16, aspect_ratio: 16.0, parts: Parts::FIRST };
        let rungs = ladder.rungs(&[100.0, 14_000.0]);
        assert_eq!(
            rungs.iter().map(|rung| (rung.shape.width, rung.near)).collect::<Vec<_>>(),
            [(16, false), (16, true)]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// From 12 times the smallest shape and from four blocks on, sizes are within 12% of their targets, and so
        /// spacing is even.
        #[test]
        fn sizes_are_near_their_targets_and_rise(
            head_dim in prop::sample::select(vec![8_usize, 16, 32, 64]),
            vocab in prop::sample::select(vec![256_usize, 512, 1024, 4096, 32_768]),
            aspect_ratio in 12.0..96.0_f64,
            above in 1.0..100.0_f64,
            spread in 6.0..40.0_f64,
            count in 7..10_usize,
        ) {
            let ladder = Ladder { context: 128, vocab, head_dim, aspect_ratio, parts: Parts::FIRST };
            let four_blocks = (4.0 * aspect_ratio / head_dim as f64).ceil() as usize * head_dim;
            let smallest = size(&ladder.shape(four_blocks, 4)).max(12.0 * size(&ladder.shape(head_dim, 1)));
            let targets = spaced(smallest * above, smallest * above * spread, count);
            let rungs = ladder.rungs(&targets);
            for rung in &rungs {
                prop_assert!(rung.near);
                prop_assert!((size(&rung.shape) / rung.target).ln().abs() < 0.12, "{rung:?} {}", size(&rung.shape));
                prop_assert_eq!(rung.shape.heads * head_dim, rung.shape.width);
            }
            for pair in rungs.windows(2) {
                prop_assert!(size(&pair[0].shape) < size(&pair[1].shape));
            }
        }

        #[test]
        fn no_shape_stands_twice_however_dense_the_targets(
            from in 1e3..1e7_f64,
            spread in 1.05..10.0_f64,
            count in 2..40_usize,
            vocab in 256..65_536_usize,
        ) {
            let ladder = Ladder { context: 64, vocab, head_dim: 16, aspect_ratio: 32.0, parts: Parts::FIRST };
            let rungs = ladder.rungs(&spaced(from, from * spread, count));
            let sizes: Vec<f64> = rungs.iter().filter(|rung| rung.near).map(|rung| size(&rung.shape)).collect();
            prop_assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]), "{sizes:?}");
        }
    }
}
