//! Which sizes a point of a sweep trains, and for how long.

use super::ladder::{FARTHEST, Ladder, size};
use super::{CorpusFacts, LeftOut, Shape};
use crate::spec::{Schedule, Spec};
use crate::units::Params;

/// What decides the length of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// Training FLOPs, counted exactly.
    Flops(f64),
    /// Training tokens.
    Tokens(f64),
    /// Training tokens for each parameter of blocks and unembedding.
    TokensPerParam(f64),
}

impl Length {
    /// The length that a schedule states, where it states one.
    fn of(schedule: &Schedule) -> Option<Self> {
        let flops = schedule.flops.map(Self::Flops);
        flops.or(schedule.tokens.map(Self::Tokens)).or(schedule.tokens_per_param.map(Self::TokensPerParam))
    }

    /// The budget, for a run that has one.
    pub fn budget(self) -> Option<f64> {
        if let Self::Flops(flops) = self { Some(flops) } else { None }
    }
}

/// The shapes and lengths of a point, and the sizes for which there is no shape.
pub fn cells(spec: &Spec, facts: &CorpusFacts) -> (Vec<(Shape, Length)>, Vec<LeftOut>) {
    let model = &spec.model;
    let ladder = Ladder {
        context: model.context,
        vocab: facts.vocab,
        head_dim: model.head_dim,
        aspect_ratio: model.aspect_ratio.unwrap_or(1.0),
        parts: model.parts(),
    };
    let written = Length::of(&spec.schedule);
    let lengths: Vec<Length> = match spec.sweep.as_ref().and_then(|sweep| sweep.budgets.as_ref()) {
        Some(budgets) => budgets.iter().map(|flops| Length::Flops(*flops)).collect(),
        None => written.into_iter().collect(),
    };
    let mut cells = Vec::new();
    let mut left_out = Vec::new();
    for length in lengths {
        if let (Some(width), Some(depth)) = (model.width, model.depth) {
            cells.push((ladder.shape(width, depth), length));
            continue;
        }
        for rung in ladder.rungs(&targets(spec, &ladder, length)) {
            if rung.near {
                cells.push((rung.shape, length));
            } else {
                left_out.push(no_shape(rung.target, rung.shape, length));
            }
        }
    }
    (cells, left_out)
}

/// The sizes of one IsoFLOP curve, ascending: listed, or evenly spaced in log N around the expected optimum.
fn targets(spec: &Spec, ladder: &Ladder, length: Length) -> Vec<f64> {
    let Some(sweep) = &spec.sweep else { return Vec::new() };
    if let Some(params) = &sweep.params {
        let mut params = params.clone();
        params.sort_by(f64::total_cmp);
        return params;
    }
    match (length.budget(), sweep.sizes, sweep.spread, sweep.expected_tokens_per_param) {
        (Some(flops), Some(sizes), Some(spread), Some(tokens_per_param)) => {
            let centre = ladder.expected_optimum(flops, tokens_per_param);
            let position = |i: usize| 2.0 * i as f64 / (sizes - 1) as f64 - 1.0;
            (0..sizes).map(|i| centre * spread.powf(position(i))).collect()
        }
        _ => Vec::new(),
    }
}

fn no_shape(target: f64, nearest: Shape, length: Length) -> LeftOut {
    let reason = format!(
        "no unused shape is within a factor of {FARTHEST} of {} parameters (the nearest has {}): use a smaller \
         head_dim or vocabulary, or fewer or larger sizes",
        Params(target),
        Params(size(&nearest)),
    );
    LeftOut { flop_budget: length.budget(), shape: nearest, reason }
}
