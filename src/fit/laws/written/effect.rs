//! Whether what a law depends on has any effect: the law against a constant.

use crate::fit::formula::{Bound, Measure};
use crate::fit::numerics::order::ends;
use crate::fit::numerics::residuals::aicc;

/// Variances of residuals that a law lowers by more than this factor are an effect whatever the number of rows, where `AICc` charges
/// a law of nearly as many unknowns as rows without end.
const PLAIN: f64 = 20.0;
/// Rows of which one must not be most of what is left.
const FEWEST: usize = 12;

/// A sentence where a constant is as good by `AICc` as a law with these numbers: the rows then show no effect of its columns.
pub(super) fn none(bound: &Bound<'_>, measure: Measure, values: &[f64]) -> Option<String> {
    let costs: Vec<f64> = bound
        .predict(values)
        .iter()
        .zip(&bound.data.loss)
        .map(|(told, loss)| measure.cost(measure.of(*told, *loss)))
        .collect();
    let objective: f64 = costs.iter().sum();
    // One row that is far off says nothing of the others.
    if bound.data.len() >= FEWEST && costs.iter().any(|cost| *cost > 0.5 * objective) {
        return None;
    }
    let rows = bound.data.len() as f64;
    let unknowns = bound.free();
    let (constant, alone) = constant(&bound.data.loss, measure);
    let score = |objective: f64, unknowns: usize| aicc((2.0 * objective / rows).sqrt(), bound.data.len(), unknowns);
    let is_plain = alone / (rows - 1.0) > PLAIN * objective / (rows - unknowns as f64).max(1.0);
    let (law, without) = (score(objective, unknowns), score(alone, 1));
    (unknowns > 1 && without <= law && !is_plain).then(|| {
        let columns = bound.law.columns.join(", ");
        let law = if law.abs() < 1e6 { format!("{law:.1}") } else { "far more".to_owned() };
        format!(
            "Not identified: the rows show no effect of {columns}: a constant, {constant:.4}, is as good (AICc {without:.1}, the law \
             {law})."
        )
    })
}

/// The constant nearest to losses, and what is left of the objective.
fn constant(loss: &[f64], measure: Measure) -> (f64, f64) {
    let cost = |value: f64| loss.iter().map(|loss| measure.cost(measure.of(value, *loss))).sum::<f64>();
    let (least, most) = ends(loss.iter().copied());
    // Convex in the logarithm, or in the loss itself.
    let in_logarithm = least > 0.0;
    let to = |x: f64| if in_logarithm { x.ln() } else { x };
    let from = |x: f64| if in_logarithm { x.exp() } else { x };
    let (mut low, mut high) = (to(least), to(most));
    for _ in 0..100 {
        let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if cost(from(a)) < cost(from(b)) { high = b } else { low = a }
    }
    let value = from(0.5 * (low + high));
    (value, cost(value))
}
