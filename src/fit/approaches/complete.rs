//! The approaches to the optimum as tables and reports show them: fitted to all runs, with what they say of the largest
//! budget from the smaller ones, and for parabolas with splines in their place and their error on this grid.

use crate::fit::Status;
use crate::fit::approaches::approach2;
use crate::fit::approaches::approach2::Approach2;
use crate::fit::approaches::approach2::akima;
use crate::fit::approaches::approach2::akima::Noise;
use crate::fit::approaches::approach3;
use crate::fit::approaches::approach3::StartGrid;
use crate::fit::approaches::forecast;
use crate::fit::approaches::outliers::Suspects;
use crate::fit::approaches::parametric::SurfaceFit;
use crate::fit::approaches::summary::Summary;
use crate::fit::approaches::{approach1, vpnls};
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::table::resample::Resample;
use crate::observation::{Counting, Observation};

/// How the approaches are fitted.
#[derive(Clone, Debug)]
pub struct Options {
    /// Resamples behind each interval.
    pub bootstrap: Bootstrap,
    /// Resamples of what is fitted again without the largest budget; 0 gives forecasts without intervals.
    pub held_out: usize,
    /// What a resample draws.
    pub resample: Resample,
    /// Approach 2: whether runs weigh by their standard errors.
    pub weighted: bool,
    /// Approach 3: where the Huber loss becomes linear.
    pub delta: f64,
    /// Approach 3: where it starts.
    pub starts: StartGrid,
}

impl Default for Options {
    fn default() -> Self {
        let approach3::Options { delta, starts, bootstrap, resample } = approach3::Options::default();
        Self { bootstrap, held_out: 0, resample, weighted: false, delta, starts }
    }
}

/// A surface fitted without the largest budget.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// The fit to the smaller budgets.
    pub fit: Summary,
    /// The runs of the largest budget, which it has not seen.
    pub runs: Vec<Observation>,
}

impl Options {
    fn none(&self) -> Bootstrap {
        Bootstrap { resamples: 0, ..self.bootstrap }
    }

    fn parabolas(&self, bootstrap: Bootstrap) -> approach2::Options {
        approach2::Options { bootstrap, resample: self.resample, weighted: self.weighted }
    }
}

/// Approach 1.
pub fn envelope(runs: &[Observation], counting: Counting, options: &Options) -> Summary {
    let forecast = forecast::hold_out(runs).and_then(|(smaller, held_out)| {
        let smaller = approach1::fit(&smaller, counting, &options.none());
        forecast::of_laws([smaller.n_opt?, smaller.d_opt?], &held_out, counting)
    });
    Summary { forecast, ..Summary::from(&approach1::fit(runs, counting, &options.bootstrap)) }
}

/// Approach 2, and all that belongs to `parabolas`, its fit to `runs`.
pub fn with_parabolas(parabolas: &Approach2, runs: &[Observation], options: &Options) -> Summary {
    let counting = parabolas.counting;
    let forecast = forecast::hold_out(runs).and_then(|(smaller, held_out)| {
        let smaller = approach2::numbers(&smaller, counting, options.parabolas(options.none()));
        forecast::of_laws([smaller.n_opt?, smaller.d_opt?], &held_out, counting)
    });
    let truth = vpnls::fit(runs, counting, vpnls::Options { bootstrap: options.none(), resample: options.resample });
    let bias = truth.surface.and_then(|truth| approach2::bias::bias(runs, counting, &truth));
    let spline =
        (runs.len() <= akima::MOST_RUNS).then(|| akima::fit(runs, counting, Noise::default(), &options.bootstrap));
    let mut summary = Summary::from(parabolas);
    if options.resample == Resample::Budgets {
        "budgets and losses within them".clone_into(&mut summary.resampled);
    }
    Summary {
        forecast,
        // Where parabolas know nothing, splines through the same curves would only look as if they did.
        spline: spline.filter(|spline| spline.n_opt.is_some() && parabolas.status == Status::Converged),
        bias: bias.filter(|_| parabolas.n_opt.is_some()),
        ..summary
    }
}

/// Approach 2 alone.
pub fn parabolas(suspects: &Suspects<'_>, counting: Counting, options: &Options) -> Approach2 {
    approach2::fit_to(suspects, counting, options.parabolas(options.bootstrap))
}

/// Approach 3, and its fit without the largest budget.
pub fn huber(runs: &[Observation], counting: Counting, options: &Options) -> (Summary, Option<HeldOut>) {
    let solve = |runs: &[Observation], bootstrap, starts| {
        let &Options { delta, resample, .. } = options;
        approach3::fit(runs, counting, &approach3::Options { delta, starts, bootstrap, resample })
    };
    let fitted = solve(runs, options.bootstrap, options.starts.clone());
    let starts = fitted.surface.as_ref().map_or_else(|| options.starts.clone(), StartGrid::around);
    with_held_out(&fitted, runs, options, |smaller, bootstrap| solve(smaller, bootstrap, starts))
}

/// VPNLS, and its fit without the largest budget.
pub fn least_squares(runs: &[Observation], counting: Counting, options: &Options) -> (Summary, Option<HeldOut>) {
    let solve = |runs: &[Observation], bootstrap| {
        vpnls::fit(runs, counting, vpnls::Options { bootstrap, resample: options.resample })
    };
    with_held_out(&solve(runs, options.bootstrap), runs, options, solve)
}

fn with_held_out(
    fitted: &SurfaceFit,
    runs: &[Observation],
    options: &Options,
    solve: impl FnOnce(&[Observation], Bootstrap) -> SurfaceFit,
) -> (Summary, Option<HeldOut>) {
    let held_out = forecast::hold_out(runs).map(|(smaller, runs)| {
        let bootstrap = Bootstrap { resamples: options.held_out, ..options.bootstrap };
        HeldOut { fit: Summary::from(&solve(&smaller, bootstrap)), runs }
    });
    let forecast = held_out.as_ref().and_then(|held_out| {
        let converged = held_out.fit.priced().filter(|_| held_out.fit.status == Status::Converged);
        let [_, seen] = held_out.fit.trained?.flops;
        let Summary { residuals, points, .. } = &held_out.fit;
        let free = *points as f64 / (*points as f64 - forecast::SURFACE_UNKNOWNS as f64);
        let scatter =
            residuals.filter(|_| *points > forecast::SURFACE_UNKNOWNS).map(|residuals| residuals.rms * free.sqrt());
        forecast::of_surface(&converged?, seen, scatter, &held_out.runs, fitted.counting)
    });
    (Summary { forecast, ..Summary::from(fitted) }, held_out)
}

/// Ranks the approaches under each convention by the error of the number of parameters at the budget held out.
pub fn rank(fits: &mut [Summary]) {
    let errors = |fits: &[Summary], counting: Counting| -> Vec<f64> {
        let of =
            |fit: &Summary| fit.forecast?.n_opt_ratio.map(|ratio| ratio.ln().abs()).filter(|error| error.is_finite());
        let mut errors: Vec<f64> = fits
            .iter()
            .flat_map(|fit| std::iter::once(fit).chain(&fit.other_countings))
            .filter(|fit| fit.counting == counting)
            .filter_map(of)
            .collect();
        errors.sort_by(f64::total_cmp);
        errors
    };
    let by_counting = Counting::ALL.map(|counting| errors(fits, counting));
    let place = |fit: &mut Summary| {
        let errors = &by_counting[Counting::ALL.iter().position(|counting| *counting == fit.counting).unwrap_or(0)];
        if let Some(forecast) = &mut fit.forecast {
            let error = forecast.n_opt_ratio.map(|ratio| ratio.ln().abs());
            forecast.rank = error.and_then(|error| errors.iter().position(|other| *other >= error)).map(|k| k + 1);
        }
    };
    for fit in fits {
        place(fit);
        fit.other_countings.iter_mut().for_each(place);
    }
}
