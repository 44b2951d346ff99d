//! Which sizes a point of a sweep trains, and for how long.

use super::candidate::Candidate;
use super::ladder::{FARTHEST, Ladder};
use super::{CorpusFacts, LeftOut};
use crate::spec::{Schedule, Spec, Sweep};
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

/// The models of a grid with their lengths.
type Cells = Vec<(Candidate, Length)>;

/// The models and lengths of a point, and the sizes for which there is no shape; why not, where a model is not counted.
pub fn cells(spec: &Spec, facts: &CorpusFacts) -> Result<(Cells, Vec<LeftOut>), String> {
    let written = Length::of(&spec.schedule);
    let lengths: Vec<Length> = match spec.sweep.as_ref().and_then(|sweep| sweep.budgets.as_ref()) {
        Some(budgets) => budgets.iter().map(|flops| Length::Flops(*flops)).collect(),
        None => written.into_iter().collect(),
    };
    match &spec.sweep {
        Some(sweep) if spec.has_own_models() => Ok((own_cells(spec, sweep, facts, &lengths)?, Vec::new())),
        _ => Ok(shapes(spec, facts, &lengths)),
    }
}

/// Models of a program of its own: at each length all of them, or those that its curve asks for.
fn own_cells(spec: &Spec, sweep: &Sweep, facts: &CorpusFacts, lengths: &[Length]) -> Result<Cells, String> {
    let sizes = spec.own_sizes()?;
    let of_program = |own| Candidate::of_program(own, spec.model.context, facts.vocab);
    let mut models: Vec<Candidate> = sizes.into_iter().map(of_program).collect();
    models.sort_by(|a, b| a.size().total_cmp(&b.size()));
    let mut cells = Vec::new();
    for length in lengths {
        let chosen = match (length.budget(), sweep.sizes, sweep.spread, sweep.expected_tokens_per_param) {
            (Some(flops), Some(sizes), Some(spread), Some(ratio)) => {
                around(&models, expected_optimum(&models, flops / ratio), spread, sizes)
            }
            _ => models.clone(),
        };
        cells.extend(chosen.into_iter().map(|model| (model, *length)));
    }
    Ok(cells)
}

/// The size N at which N x FLOPs per token is `product`, between the models and beyond them on a power law.
fn expected_optimum(models: &[Candidate], product: f64) -> f64 {
    let at = |model: &Candidate| (model.size().ln(), (model.size() * model.flops_per_token().exact).ln());
    let points: Vec<(f64, f64)> = models.iter().map(at).collect();
    let above = points.iter().position(|(_, cost)| *cost >= product.ln()).unwrap_or(points.len());
    let (first, second) = match (points.len(), above.clamp(1, points.len().max(2) - 1)) {
        (0 | 1, _) => {
            let (size, cost) = points.first().copied().unwrap_or_default();
            ((size, cost), (size + 1.0, cost + 2.0))
        }
        (_, second) => (points[second - 1], points[second]),
    };
    let slope = if second.1 > first.1 { (second.0 - first.0) / (second.1 - first.1) } else { 0.5 };
    (first.0 + slope * (product.ln() - first.1)).exp()
}

/// Of the models within a factor of a size so many, evenly spaced in log N where there are more.
fn around(models: &[Candidate], centre: f64, spread: f64, count: usize) -> Vec<Candidate> {
    let off = |model: &Candidate| (model.size() / centre).ln();
    // Half a step more, so that models made for the ends are not lost to rounding.
    let reach = spread.ln() * (1.0 + 1.0 / (count - 1) as f64);
    let mut near: Vec<&Candidate> = models.iter().filter(|model| off(model).abs() <= reach).collect();
    if near.len() <= count {
        return near.into_iter().cloned().collect();
    }
    let mut chosen = Vec::new();
    for i in 0..count {
        let target = spread.ln() * (2.0 * i as f64 / (count - 1) as f64 - 1.0);
        let far = |at: &usize| (off(near[*at]) - target).abs();
        let nearest = (0..near.len()).min_by(|a, b| far(a).total_cmp(&far(b))).expect("more than are asked for");
        chosen.push(near.remove(nearest).clone());
    }
    chosen.sort_by(|a, b| a.size().total_cmp(&b.size()));
    chosen
}

/// The shapes of our transformers and their lengths, and the sizes for which there is no shape.
fn shapes(spec: &Spec, facts: &CorpusFacts, lengths: &[Length]) -> (Cells, Vec<LeftOut>) {
    let model = &spec.model;
    let ladder = Ladder {
        context: model.context,
        vocab: facts.vocab,
        head_dim: model.head_dim,
        aspect_ratio: model.aspect_ratio.unwrap_or(1.0),
        parts: model.parts(),
    };
    let mut cells = Vec::new();
    let mut left_out = Vec::new();
    for &length in lengths {
        if let (Some(width), Some(depth)) = (model.width, model.depth) {
            cells.push((ladder.shape(width, depth).into(), length));
            continue;
        }
        for rung in ladder.rungs(&targets(spec, &ladder, length)) {
            if rung.near {
                cells.push((rung.shape.into(), length));
            } else {
                left_out.push(no_shape(rung.target, &rung.shape.into(), length));
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

fn no_shape(target: f64, nearest: &Candidate, length: Length) -> LeftOut {
    let reason = format!(
        "no unused shape is within a factor of {FARTHEST} of {} parameters (the nearest has {}): use a smaller \
         head_dim or vocabulary, or fewer or larger sizes",
        Params(target),
        Params(nearest.size()),
    );
    LeftOut { reason, ..left_out(nearest, length) }
}

/// A model that is not trained at a length, before it is said why.
pub fn left_out(model: &Candidate, length: Length) -> LeftOut {
    LeftOut { flop_budget: length.budget(), shape: model.shape, model: model.name(), reason: String::new() }
}
