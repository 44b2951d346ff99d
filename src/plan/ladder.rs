//! The ladder of shapes: for each size that is asked for, a width and a depth near it.

use super::{ParamCounts, Shape};
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

impl Ladder {
    /// The shape of a width and a depth.
    pub fn shape(&self, width: usize, depth: usize) -> Shape {
        Shape { width, depth, heads: width / self.head_dim, context: self.context, vocab: self.vocab }
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
        for width in (1..).map(|heads| heads * self.head_dim) {
            let ideal = width as f64 / self.aspect_ratio;
            let least = (ideal / ASPECT_RANGE).ceil().max(1.0);
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

    /// Width, as a real number, of the shape on the aspect ratio whose training on `tokens_per_param` tokens for each
    /// parameter takes `flops`; then its parameters of blocks and unembedding.
    pub fn expected_optimum(&self, flops: f64, tokens_per_param: f64) -> f64 {
        let [t, v] = [self.context, self.vocab].map(|x| x as f64);
        let params = |d: f64| 12.0 * d.powi(3) / self.aspect_ratio + v * d;
        // The exact count of `FlopsPerToken` at a depth of width / aspect ratio.
        let cost = |d: f64| {
            let per_token = 6.0 * params(d) + 6.0 * d * d / self.aspect_ratio * (t + 1.0);
            per_token * tokens_per_param * params(d)
        };
        let (mut low, mut high) = (0.0, 1e12);
        for _ in 0..200 {
            let middle = f64::midpoint(low, high);
            if cost(middle) < flops { low = middle } else { high = middle }
        }
        params(low)
    }
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
