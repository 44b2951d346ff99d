//! Laws of one variable, L(N), L(D) or L(C), and which of them the data prefer.
//!
//! Four forms, all fitted by least squares in log loss: the pure power law (`x_c/x)^alpha` of Kaplan et al. 2020 (arXiv
//! 2001.08361, equations 1.1 to 1.3), the same with an irreducible term, one with a smooth break ([`super::broken`]),
//! and the exponential that pruning of data can turn a power law into (Sorscher et al. 2022, arXiv 2206.14486).
//! They are compared by the information criterion `AICc` (Hurvich and Tsai 1989) and by predicting the quarter of
//! largest x from the rest.

use serde::{Deserialize, Serialize};

use super::Estimate;
use super::bootstrap::Bootstrap;
use super::broken;
use super::least_squares::best_of;
use super::regress::Design;

/// The form of a law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A x^-alpha.
    Pure,
    /// E + A x^-alpha.
    Offset,
    /// A power law with one smooth break and an irreducible term.
    Broken,
    /// E + A exp(-x/scale).
    Exponential,
}

impl Form {
    /// All forms, the simplest first.
    pub const ALL: [Self; 4] = [Self::Pure, Self::Offset, Self::Exponential, Self::Broken];

    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Offset => "offset",
            Self::Broken => "broken",
            Self::Exponential => "exponential",
        }
    }

    fn unknowns(self) -> usize {
        match self {
            Self::Pure => 2,
            Self::Offset | Self::Exponential => 3,
            Self::Broken => 6,
        }
    }
}

/// A fitted law of one variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Law {
    /// Its form.
    pub form: Form,
    /// Irreducible loss E, in nats per token; 0 for the pure form.
    pub e: f64,
    /// Coefficient A.
    pub a: f64,
    /// Exponent alpha: of the first segment where there is a break, 1/scale for the exponential.
    pub alpha: f64,
    /// The broken law in full.
    pub broken: Option<broken::Broken>,
    /// Root of the mean squared residual in log loss.
    pub rms: f64,
    /// `AICc`; lower is better, a difference above 10 is decisive.
    pub aicc: f64,
    /// Root of the mean squared error in log loss on the quarter of largest x, predicted from the rest.
    pub held_out: Option<f64>,
}

impl Law {
    /// Loss at x.
    pub fn at(&self, x: f64) -> f64 {
        match (&self.broken, self.form) {
            (Some(broken), _) => broken.at(x),
            (None, Form::Exponential) => self.e + self.a * (-self.alpha * x).exp(),
            (None, _) => self.e + self.a * x.powf(-self.alpha),
        }
    }

    /// Kaplan's scale `x_c`, at which the reducible part is one nat: (`x_c/x)^alpha` = A x^-alpha.
    pub fn critical(&self) -> f64 {
        self.a.powf(1.0 / self.alpha)
    }

    /// The intrinsic dimension of the data that a data exponent implies, d = 1/alpha.
    pub fn intrinsic_dimension(&self) -> f64 {
        1.0 / self.alpha
    }
}

/// Fits one form to positive `x` and loss `y`; nothing where there are no more points than unknowns plus one.
pub fn fit(x: &[f64], y: &[f64], form: Form) -> Option<Law> {
    let mut law = solve(x, y, form)?;
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&i, &j| x[i].total_cmp(&x[j]));
    let (known, beyond) = order.split_at(x.len() - x.len() / 4);
    let take = |from: &[f64], which: &[usize]| which.iter().map(|&i| from[i]).collect::<Vec<_>>();
    law.held_out = solve(&take(x, known), &take(y, known), form)
        .filter(|_| !beyond.is_empty())
        .map(|smaller| rms(&smaller, &take(x, beyond), &take(y, beyond)));
    Some(law)
}

fn solve(x: &[f64], y: &[f64], form: Form) -> Option<Law> {
    let (points, unknowns) = (x.len() as f64, form.unknowns() as f64);
    if points <= unknowns + 1.0 || x.iter().all(|other| other.total_cmp(&x[0]).is_eq()) {
        return None;
    }
    let plain = |e, a, alpha| Law { form, e, a, alpha, broken: None, rms: 0.0, aicc: 0.0, held_out: None };
    let mut law = match form {
        Form::Pure => {
            let logs = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<_>>();
            let line = Design::new(&logs(x)).line(&logs(y));
            plain(0.0, line.intercept.exp(), -line.slope)
        }
        Form::Offset => {
            let found = broken::fit(x, y, 0)?.law;
            plain(found.a, found.b, found.c0)
        }
        Form::Exponential => exponential(x, y).map(|[e, a, rate]| plain(e, a, rate))?,
        Form::Broken => {
            let found = broken::fit(x, y, 1)?.law;
            Law { broken: Some(found.clone()), ..plain(found.a, found.b, found.c0) }
        }
    };
    law.rms = rms(&law, x, y);
    // One more unknown: the variance of the residuals.
    let k = unknowns + 1.0;
    let correction = if points > k + 1.0 { 2.0 * k * (k + 1.0) / (points - k - 1.0) } else { f64::INFINITY };
    law.aicc = 2.0 * points * law.rms.max(1e-15).ln() + 2.0 * k + correction;
    Some(law)
}

fn rms(law: &Law, x: &[f64], y: &[f64]) -> f64 {
    let square = x.iter().zip(y).map(|(x, y)| (law.at(*x).max(f64::MIN_POSITIVE).ln() - y.ln()).powi(2));
    (square.sum::<f64>() / x.len() as f64).sqrt()
}

/// E, A and rate of E + A exp(-rate x), by least squares in log loss with unknowns ln E, ln A, ln rate.
fn exponential(x: &[f64], y: &[f64]) -> Option<[f64; 3]> {
    let least = y.iter().copied().fold(f64::INFINITY, f64::min);
    let most = y.iter().copied().fold(0.0, f64::max);
    let span = x.iter().copied().fold(0.0, f64::max);
    let rows = |u: &[f64; 3]| {
        let (e, rate) = (u[0].exp(), u[2].exp());
        let row = |(x, y): (&f64, &f64)| {
            let s = (u[1] - rate * x).exp();
            let value = e + s;
            (value.ln() - y.ln(), [e / value, s / value, -s * rate * x / value])
        };
        x.iter().zip(y).map(row).collect()
    };
    let starts = [0.5, 0.99].into_iter().flat_map(|share| {
        let start =
            move |speed: f64| [(share * least).ln(), (most - share * least).max(1e-9).ln(), (speed / span).ln()];
        [0.3, 1.0, 3.0, 10.0, 30.0].map(start)
    });
    best_of(rows, starts, 400).map(|stop| stop.x.map(f64::exp))
}

/// The forms that could be fitted, and which one is preferred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// One law for each form that has enough points.
    pub laws: Vec<Law>,
    /// The form of the least `AICc`.
    pub by_criterion: Form,
    /// The form that predicts the quarter of largest x best.
    pub by_forecast: Option<Form>,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

/// Fits every form and compares them; nothing where even the pure law has too few points.
pub fn select(x: &[f64], y: &[f64]) -> Option<Selection> {
    let laws: Vec<Law> = Form::ALL.into_iter().filter_map(|form| fit(x, y, form)).collect();
    let best = laws.iter().min_by(|a, b| a.aicc.total_cmp(&b.aicc))?;
    let with_forecast = laws.iter().filter_map(|law| Some((law.form, law.held_out?)));
    let by_forecast = with_forecast.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(form, _)| form);
    // The simplest law that is not clearly worse: a difference of 2 in AICc decides nothing (Burnham and Anderson).
    let simplest = laws.iter().find(|law| law.aicc <= best.aicc + 2.0).unwrap_or(best).form;
    let conclusion = match by_forecast {
        Some(form) if form == simplest => {
            format!("The {} law is preferred, by the information criterion and by its forecast.", form.name())
        }
        Some(form) => format!(
            "The data do not decide: the information criterion prefers the {} law, the forecast the {} law.",
            simplest.name(),
            form.name()
        ),
        None => format!(
            "The {} law is preferred by the information criterion; too few points to forecast.",
            simplest.name()
        ),
    };
    Some(Selection { by_criterion: simplest, by_forecast, laws, conclusion })
}

/// The 95% interval of the exponent, resampling points.
pub fn exponent(x: &[f64], y: &[f64], form: Form, bootstrap: &Bootstrap) -> Option<Estimate> {
    use rand::RngExt;
    let value = solve(x, y, form)?.alpha;
    let draws = bootstrap.draws(|rng| {
        let chosen: Vec<usize> = (0..x.len()).map(|_| rng.random_range(0..x.len())).collect();
        let take = |from: &[f64]| chosen.iter().map(|&i| from[i]).collect::<Vec<_>>();
        solve(&take(x), &take(y), form).map_or(f64::NAN, |law| law.alpha)
    });
    Some(Estimate::from_draws(value, draws))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(law: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<f64>) {
        // Deviations of 1e-4 that are no law of x.
        let x: Vec<f64> = (0..40).map(|i| 1e6 * 10_f64.powf(f64::from(i) / 10.0)).collect();
        let y = x.iter().enumerate().map(|(i, x)| law(*x) * (1.0 + 1e-4 * ((7 * i % 11) as f64 - 5.0))).collect();
        (x, y)
    }

    #[test]
    fn kaplans_law_of_parameters_comes_back_with_its_scale() {
        let (x, y) = series(|x| (8.8e13 / x).powf(0.076));
        let selection = select(&x, &y).unwrap();
        assert_eq!(selection.by_criterion, Form::Pure, "{}", selection.conclusion);
        let law = &selection.laws[0];
        assert!((law.alpha - 0.076).abs() < 1e-4 && (law.critical() / 8.8e13).ln().abs() < 0.05, "{law:?}");
        assert!((law.intrinsic_dimension() - 1.0 / 0.076).abs() < 0.05);
    }

    #[test]
    fn each_form_is_preferred_on_its_own_data() {
        let broken =
            broken::Broken { a: 0.5, b: 20.0, c0: 0.1, breaks: vec![broken::Break { d: 1e8, c: 0.4, f: 0.2 }] };
        let prefers = |law: &dyn Fn(f64) -> f64, form| {
            let (x, y) = series(law);
            let selection = select(&x, &y).unwrap();
            assert_eq!(selection.by_criterion, form, "{selection:?}");
        };
        prefers(&|x| 1.7 + 400.0 * x.powf(-0.34), Form::Offset);
        prefers(&|x| 0.2 + 3.0 * (-x / 3e9).exp(), Form::Exponential);
        prefers(&|x| broken.at(x), Form::Broken);
    }

    #[test]
    fn the_offset_law_recovers_its_constants_and_an_interval_that_holds_them() {
        let (x, y) = series(|x| 1.7 + 400.0 * x.powf(-0.34));
        let law = fit(&x, &y, Form::Offset).unwrap();
        assert!((law.e - 1.7).abs() < 0.01 && (law.alpha - 0.34).abs() < 0.005, "{law:?}");
        assert!(law.held_out.unwrap() < 1e-3);
        let interval = exponent(&x, &y, Form::Offset, &Bootstrap { resamples: 100, seed: 1 }).unwrap();
        assert!(interval.holds(0.34) && interval.high - interval.low < 0.02, "{interval:?}");
    }

    #[test]
    fn too_few_points_and_one_x_give_nothing() {
        assert!(select(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]).is_none());
        assert!(select(&[5.0; 9], &[3.0; 9]).is_none());
    }
}
