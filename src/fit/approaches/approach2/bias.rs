//! What the parabola does to a grid when nothing else is wrong (arXiv 2603.22339).
//!
//! The loss along a budget is no parabola in log N: on a wide or off-centre grid, or where alpha and beta differ, the
//! vertex is not the minimum. Given a surface, the error for the grid at hand is that of a fit to its own noiseless
//! losses.

use serde::{Deserialize, Serialize};

use crate::fit::approaches::approach2::curve;
use crate::fit::approaches::approach2::curve::{AXES, Minimum};
use crate::fit::approaches::approach2::{Place, laws};
use crate::fit::approaches::surface::Surface;
use crate::observation::{Counting, Observation};

/// Error of approach 2 on the noiseless losses of a surface, at the sizes and tokens of the table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bias {
    /// Error of the exponent of `N_opt`.
    pub n_exponent: f64,
    /// Error of the exponent of `D_opt`.
    pub d_exponent: f64,
    /// Relative error of `D_opt` at the largest budget.
    pub tokens_at_largest: f64,
    /// Relative error of `D_opt` at a thousand times the largest budget.
    pub tokens_beyond: f64,
}

/// The error of approach 2 on this grid if `surface` were the truth; nothing where the noiseless losses have no law.
///
/// The true optimum of a budget is that of the surface along the sizes and tokens trained, whatever FLOPs were counted.
pub fn bias(observations: &[Observation], counting: Counting, surface: &Surface) -> Option<Bias> {
    let noiseless: Vec<Observation> = observations
        .iter()
        .filter_map(|run| Some(Observation { loss: surface.loss(run.params_by(counting)?, run.tokens), ..run.clone() }))
        .collect();
    let curves = curve::split(&noiseless, counting, false);
    let (mut fitted, mut truth) = (Vec::new(), Vec::new());
    for curve in &curves {
        if let (minimum, Some(x)) = (curve.minimum(), curve.minimum_of(surface))
            && minimum.interior
        {
            let place = |minimum| Place { budget: curve.budget.log10(), minimum, weights: [1.0; 2] };
            fitted.push(place(minimum));
            truth.push(place(Minimum { x: x.map(Some), ..minimum }));
        }
    }
    let largest = fitted.last()?.budget;
    let (fitted, truth) = (laws(&fitted)?, laws(&truth)?);
    let tokens = AXES[1];
    let error = |x: f64| 10_f64.powf(fitted[tokens].at(x) - truth[tokens].at(x)) - 1.0;
    Some(Bias {
        n_exponent: fitted[0].slope - truth[0].slope,
        d_exponent: fitted[1].slope - truth[1].slope,
        tokens_at_largest: error(largest),
        tokens_beyond: error(largest + 3.0),
    })
}
