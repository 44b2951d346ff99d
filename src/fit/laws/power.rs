//! Laws of one variable, L(N), L(D) or L(C), and which of them the data prefer.
//!
//! Five forms, all fitted by least squares in log loss: the pure power law (`x_c/x)^alpha` of Kaplan et al. 2020 (arXiv
//! 2001.08361, equations 1.1 to 1.3), the same with an irreducible term, one with one or two smooth breaks
//! ([`super::broken`]), and the exponential that pruning of data can turn a power law into (Sorscher et al. 2022, arXiv
//! 2206.14486). They are compared by the information criterion `AICc` (Hurvich and Tsai 1989) and by predicting the
//! quarter of largest x from the rest. Intervals resample runs, those of one x together, each resample starting from the law
//! itself.

mod selection;

pub use selection::{MOST, Narrow, Selection, select};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fit::estimate::{NO_FLOOR, too_many_lost};
use crate::fit::laws::broken;
use crate::fit::laws::broken::Broken;
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::least_squares::{Row, best_of, least_squares};
use crate::fit::numerics::regress::Design;
use crate::fit::numerics::regress::distinct;
use crate::fit::numerics::residuals::Residuals;
use crate::fit::table::resample::Units;
use crate::fit::{Estimate, Status};

/// An irreducible loss of zero is a bound: from below nothing is open, and where all resamples end there, there is no
/// interval.
fn one_sided(intervals: &mut BTreeMap<String, [f64; 2]>, floor: f64) {
    match intervals.get_mut("E") {
        Some([_, high]) if *high < floor => _ = intervals.remove("E"),
        Some([low, _]) => *low = 0.0,
        None => {}
    }
}

/// The form of a law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A x^-alpha.
    Pure,
    /// E + A x^-alpha.
    Offset,
    /// E + A exp(-x/scale).
    Exponential,
    /// A power law with one smooth break and an irreducible term.
    Broken,
    /// The same with two breaks.
    TwiceBroken,
}

impl Form {
    /// All forms, the simplest first.
    pub const ALL: [Self; 5] = [Self::Pure, Self::Offset, Self::Exponential, Self::Broken, Self::TwiceBroken];

    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Offset => "offset",
            Self::Exponential => "exponential",
            Self::Broken => "broken",
            Self::TwiceBroken => "twice broken",
        }
    }

    fn unknowns(self) -> usize {
        match self {
            Self::Pure => 2,
            Self::Offset | Self::Exponential => 3,
            Self::Broken => 6,
            Self::TwiceBroken => 9,
        }
    }

    fn breaks(self) -> usize {
        match self {
            Self::Pure | Self::Offset | Self::Exponential => 0,
            Self::Broken => 1,
            Self::TwiceBroken => 2,
        }
    }
}

/// The constants of a law of one variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Its form.
    pub form: Form,
    /// Irreducible loss E, in nats per token; 0 for the pure form.
    #[serde(rename = "E")]
    pub e: f64,
    /// Coefficient A.
    #[serde(rename = "A")]
    pub a: f64,
    /// Exponent alpha: of the first segment where there is a break, 1/scale for the exponential.
    pub alpha: f64,
    /// Where the exponent changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breaks: Vec<broken::Break>,
}

impl Curve {
    /// Loss at x.
    pub fn at(&self, x: f64) -> f64 {
        match self.form {
            Form::Exponential => self.e + self.a * (-self.alpha * x).exp(),
            _ => self.broken().at(x),
        }
    }

    fn broken(&self) -> Broken {
        Broken { a: self.e, b: self.a, c0: self.alpha, breaks: self.breaks.clone() }
    }

    fn of(form: Form, law: Broken) -> Self {
        Self { form, e: law.a, a: law.b, alpha: law.c0, breaks: law.breaks }
    }

    /// Kaplan's scale `x_c`, at which the reducible part is one nat: (`x_c/x)^alpha` = A x^-alpha.
    pub fn critical(&self) -> f64 {
        self.a.powf(1.0 / self.alpha)
    }

    /// The intrinsic dimension of the data that an exponent of parameters or data implies: at least d = 1/alpha, and
    /// up to 4/alpha where model and data are smooth (Sharma and Kaplan 2020, arXiv 2004.10802; Bahri et al. 2021,
    /// arXiv 2102.06701).
    pub fn intrinsic_dimension(&self) -> [f64; 2] {
        [1.0 / self.alpha, 4.0 / self.alpha]
    }

    /// Whether this curve is a law that falls, for a resample to count.
    fn falls(&self) -> bool {
        let finite = [self.e, self.a, self.alpha].iter().all(|x| x.is_finite());
        // The first segment of a broken law may be flat.
        finite && self.a > 0.0 && (self.alpha > 0.0 || !self.breaks.is_empty())
    }
}

/// A fitted law of one variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Law {
    /// The constants.
    #[serde(flatten)]
    pub curve: Curve,
    /// Whether they may be used.
    pub status: Status,
    /// 95% intervals by name: E, A, alpha, and d1, c1, f1 of the first break and so on.
    pub intervals: BTreeMap<String, [f64; 2]>,
    /// Residuals in log loss.
    pub residuals: Residuals,
    /// `AICc`; lower is better, a difference above 10 is decisive.
    pub aicc: f64,
    /// Root of the mean squared error in log loss on the quarter of largest x, predicted from the rest.
    pub held_out: Option<f64>,
}

impl Law {
    /// E, A and alpha with their intervals.
    pub fn estimates(&self) -> [Estimate; 3] {
        [("E", self.curve.e), ("A", self.curve.a), ("alpha", self.curve.alpha)]
            .map(|(name, value)| self.estimate(name, value))
    }

    /// Akaike's criterion without the correction for few rows.
    pub fn aic(&self, points: usize) -> f64 {
        aic(self.residuals.rms, points, self.curve.form)
    }

    /// The places of the breaks with their intervals.
    pub fn places(&self) -> Vec<Estimate> {
        let breaks = self.curve.breaks.iter().enumerate();
        breaks.map(|(k, found)| self.estimate(&format!("d{}", k + 1), found.d)).collect()
    }

    fn estimate(&self, name: &str, value: f64) -> Estimate {
        let [low, high] = self.intervals.get(name).copied().unwrap_or([f64::NAN; 2]);
        Estimate { value, low, high }
    }
}

/// Fits one form to positive `x` and loss `y`; nothing where there are no more points than unknowns plus one.
pub fn fit(x: &[f64], y: &[f64], form: Form, bootstrap: &Bootstrap) -> Option<Law> {
    let curve = solve(x, y, form)?;
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&i, &j| x[i].total_cmp(&x[j]));
    let (known, beyond) = order.split_at(x.len() - x.len() / 4);
    let take = |from: &[f64], which: &[usize]| which.iter().map(|&i| from[i]).collect::<Vec<_>>();
    let held_out = solve(&take(x, known), &take(y, known), form)
        .filter(|_| !beyond.is_empty())
        .map(|smaller| residuals(&smaller, &take(x, beyond), &take(y, beyond)).rms);
    let units = Units::of_repeats(x.iter().map(|x| [*x]));
    let draws: Vec<Curve> = bootstrap.draws(|rng| {
        let chosen: Vec<usize> = units.draw(rng).collect();
        refine(&take(x, &chosen), &take(y, &chosen), &curve)
    });
    let draws: Vec<Curve> = draws.into_iter().filter(Curve::falls).collect();
    let interval = |name: &str, read: &dyn Fn(&Curve) -> f64| {
        let estimate = Estimate::from_draws(read(&curve), draws.iter().map(read));
        (name.to_owned(), [estimate.low, estimate.high])
    };
    let mut intervals =
        BTreeMap::from([interval("E", &|c| c.e), interval("A", &|c| c.a), interval("alpha", &|c| c.alpha)]);
    for k in 0..curve.breaks.len() {
        intervals.extend([
            interval(&format!("d{}", k + 1), &|c| c.breaks[k].d),
            interval(&format!("c{}", k + 1), &|c| c.breaks[k].c),
            interval(&format!("f{}", k + 1), &|c| c.breaks[k].f),
        ]);
    }
    let residuals = residuals(&curve, x, y);
    let (points, k) = (x.len() as f64, criterion_unknowns(form));
    let correction = if points > k + 1.0 { 2.0 * k * (k + 1.0) / (points - k - 1.0) } else { f64::INFINITY };
    let floor = NO_FLOOR * y.iter().copied().fold(f64::INFINITY, f64::min);
    let outside = |at: f64| at < x[order[0]] || at > x[order[order.len() - 1]];
    let status = match () {
        () if !curve.falls() => Status::NotIdentified,
        () if too_many_lost(bootstrap.resamples - draws.len(), bootstrap.resamples) => Status::NotIdentified,
        () if curve.breaks.iter().any(|k| outside(k.d)) => Status::EdgeMinimum,
        () if form != Form::Pure && curve.e < floor => Status::BoundHit,
        () => Status::Converged,
    };
    if form != Form::Pure && curve.e < floor {
        one_sided(&mut intervals, floor);
    }
    Some(Law { status, intervals, residuals, aicc: aic(residuals.rms, x.len(), form) + correction, held_out, curve })
}

/// Akaike's criterion of Gaussian residuals.
fn aic(rms: f64, points: usize, form: Form) -> f64 {
    2.0 * points as f64 * rms.max(1e-15).ln() + 2.0 * criterion_unknowns(form)
}

/// One more unknown: the variance of the residuals.
fn criterion_unknowns(form: Form) -> f64 {
    form.unknowns() as f64 + 1.0
}

fn solve(x: &[f64], y: &[f64], form: Form) -> Option<Curve> {
    // Repeats at one x are drawn together: they are no points of their own.
    if distinct(x.iter().copied()) <= form.unknowns() + 1 {
        return None;
    }
    match form {
        Form::Pure => Some(pure(x, y)),
        Form::Exponential => exponential(x, y).map(|[e, a, alpha]| Curve { form, e, a, alpha, breaks: Vec::new() }),
        _ => Some(Curve::of(form, broken::fit(x, y, form.breaks())?.law)),
    }
}

/// The same form from where `curve` is, for resamples.
fn refine(x: &[f64], y: &[f64], curve: &Curve) -> Curve {
    match curve.form {
        Form::Pure => pure(x, y),
        Form::Exponential => {
            let start = [curve.e.max(1e-12), curve.a, curve.alpha].map(f64::ln);
            let [e, a, alpha] = least_squares(|u| exponential_rows(x, y, u), start, 60).x.map(f64::exp);
            Curve { e, a, alpha, ..curve.clone() }
        }
        form => Curve::of(form, broken::refine(x, y, &curve.broken())),
    }
}

fn pure(x: &[f64], y: &[f64]) -> Curve {
    let logs = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<_>>();
    let line = Design::new(&logs(x)).line(&logs(y));
    Curve { form: Form::Pure, e: 0.0, a: line.intercept.exp(), alpha: -line.slope, breaks: Vec::new() }
}

fn residuals(curve: &Curve, x: &[f64], y: &[f64]) -> Residuals {
    Residuals::of(x.iter().zip(y).map(|(x, y)| curve.at(*x).max(f64::MIN_POSITIVE).ln() - y.ln()))
}

/// E, A and rate of E + A exp(-rate x), by least squares in log loss with unknowns ln E, ln A, ln rate.
fn exponential(x: &[f64], y: &[f64]) -> Option<[f64; 3]> {
    let least = y.iter().copied().fold(f64::INFINITY, f64::min);
    let most = y.iter().copied().fold(0.0, f64::max);
    let span = x.iter().copied().fold(0.0, f64::max);
    let starts = [0.5, 0.99].into_iter().flat_map(|share| {
        let start =
            move |speed: f64| [(share * least).ln(), (most - share * least).max(1e-9).ln(), (speed / span).ln()];
        [0.3, 1.0, 3.0, 10.0, 30.0].map(start)
    });
    best_of(|u| exponential_rows(x, y, u), starts, 400).map(|stop| stop.x.map(f64::exp))
}

fn exponential_rows(x: &[f64], y: &[f64], u: &[f64; 3]) -> Vec<Row<3>> {
    let (e, rate) = (u[0].exp(), u[2].exp());
    let row = |(x, y): (&f64, &f64)| {
        let s = (u[1] - rate * x).exp();
        let value = e + s;
        (value.ln() - y.ln(), [e / value, s / value, -s * rate * x / value])
    };
    x.iter().zip(y).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 100, seed: 1 };

    fn series(law: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<f64>) {
        // Deviations of 1e-4 that are no law of x.
        let x: Vec<f64> = (0..40).map(|i| 1e6 * 10_f64.powf(f64::from(i) / 10.0)).collect();
        let y = x.iter().enumerate().map(|(i, x)| law(*x) * (1.0 + 1e-4 * ((7 * i % 11) as f64 - 5.0))).collect();
        (x, y)
    }

    #[test]
    fn kaplans_law_of_parameters_comes_back_with_its_scale() {
        let (x, y) = series(|x| (8.8e13 / x).powf(0.076));
        let selection = select(&x, &y, &BOOTSTRAP);
        assert_eq!(selection.by_criterion, Some(Form::Pure), "{}", selection.conclusion);
        let law = &selection.laws[0].curve;
        assert!((law.alpha - 0.076).abs() < 1e-4 && (law.critical() / 8.8e13).ln().abs() < 0.05, "{law:?}");
        assert!((law.intrinsic_dimension()[0] - 1.0 / 0.076).abs() < 0.05);
    }

    #[test]
    fn one_form_that_can_be_judged_is_not_one_that_is_preferred() {
        let x: Vec<f64> = (0..6).map(|i| 1e6 * 4_f64.powi(i)).collect();
        let y: Vec<f64> = x.iter().map(|x| 2.0 + 1.5 * (x / 1e6).powf(-0.5)).collect();
        let five = select(&x[..5], &y[..5], &BOOTSTRAP);
        assert_eq!((five.status, five.by_criterion, five.by_forecast), (Status::TooFewPoints, None, None), "{five:?}");
        assert_eq!(five.preferred().map(|law| law.curve.form), Some(Form::Pure), "the simplest is still shown");
        assert!(
            five.conclusion.starts_with("Runs of 5 different values are too few to tell which form"),
            "{}",
            five.conclusion
        );
        let six = select(&x, &y, &BOOTSTRAP);
        assert_eq!((six.status, six.by_criterion), (Status::Converged, Some(Form::Offset)), "{six:?}");
    }

    #[test]
    fn each_form_is_preferred_on_its_own_data() {
        let broken =
            broken::Broken { a: 0.5, b: 20.0, c0: 0.1, breaks: vec![broken::Break { d: 1e8, c: 0.4, f: 0.2 }] };
        let prefers = |law: &dyn Fn(f64) -> f64, form| {
            let (x, y) = series(law);
            let selection = select(&x, &y, &BOOTSTRAP);
            assert_eq!(selection.by_criterion, Some(form), "{selection:?}");
        };
        prefers(&|x| 1.7 + 400.0 * x.powf(-0.34), Form::Offset);
        prefers(&|x| 0.2 + 3.0 * (-x / 3e9).exp(), Form::Exponential);
        prefers(&|x| broken.at(x), Form::Broken);
    }

    #[test]
    fn the_offset_law_recovers_its_constants_and_an_interval_that_holds_them() {
        let (x, y) = series(|x| 1.7 + 400.0 * x.powf(-0.34));
        let law = fit(&x, &y, Form::Offset, &BOOTSTRAP).unwrap();
        assert!((law.curve.e - 1.7).abs() < 0.01 && (law.curve.alpha - 0.34).abs() < 0.005, "{law:?}");
        assert_eq!(law.status, Status::Converged);
        assert!(law.held_out.unwrap() < 1e-3);
        let [e, a, alpha] = law.estimates();
        assert!(alpha.holds(0.34) && alpha.high - alpha.low < 0.02, "{alpha:?}");
        assert!(e.holds(1.7) && a.holds(400.0), "{e:?} {a:?}");
    }

    #[test]
    fn a_loss_without_a_floor_and_one_that_does_not_fall_are_statuses() {
        let (x, y) = series(|x| 30.0 * x.powf(-0.1));
        assert_eq!(fit(&x, &y, Form::Offset, &BOOTSTRAP).unwrap().status, Status::BoundHit);
        let noise: Vec<f64> = (0..40_u64).map(|i| 3.0 + 0.01 * ((i * 7919 % 13) as f64 - 6.0)).collect();
        let selection = select(&x, &noise, &BOOTSTRAP);
        assert_eq!(selection.status, Status::NotIdentified, "{selection:?}");
    }

    #[test]
    fn six_runs_for_which_criterion_and_forecast_differ_tell_no_form() {
        // Those of results/laws-size: a floor foretells the largest, and the criterion charges 24 for it.
        let x = [17_960.0, 38_992.0, 63_096.0, 90_272.0, 181_584.0, 328_256.0];
        let y = [4.4559, 3.9295, 3.6736, 3.5228, 3.2659, 3.0858];
        let found = select(&x, &y, &BOOTSTRAP);
        assert_eq!((found.by_criterion, found.by_forecast), (Some(Form::Pure), Some(Form::Offset)));
        assert_eq!(found.status, Status::NotIdentified);
        assert!(found.conclusion.contains("do not decide"), "{}", found.conclusion);
    }

    #[test]
    fn too_few_points_and_one_x_and_equal_losses_are_statuses() {
        assert_eq!(select(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0], &BOOTSTRAP).status, Status::TooFewPoints);
        assert_eq!(
            select(&[5.0; 9], &[3.0, 2.0, 1.0, 3.0, 2.0, 1.0, 3.0, 2.0, 1.0], &BOOTSTRAP).status,
            Status::TooFewPoints
        );
        assert_eq!(select(&[1.0, 2.0, 3.0, 4.0, 5.0], &[3.0; 5], &BOOTSTRAP).status, Status::NotIdentified);
        assert_eq!(select(&[], &[], &BOOTSTRAP).status, Status::TooFewPoints);
    }
}
