//! A law that somebody wrote, fitted: numbers with intervals, a status, and what it says of runs that it has not seen.

mod contradicted;
mod effect;
pub mod outside;
pub mod ranking;
mod settings;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::fit::estimate::too_many_lost;
use crate::fit::formula::{self, Bound, Data, FormulaError, Gone, Law, Measure, NOTHING, Number, Solution};
use crate::fit::laws::law::{LawFit, Parameter};
use crate::fit::numerics::averages::{mean, root_mean_square};
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::bounded;
use crate::fit::numerics::order::ends;
use crate::fit::numerics::residuals::{Residuals, aicc};
use crate::fit::table::named::is_loss;
use crate::fit::table::resample::{Resample, Units};
use crate::fit::{Estimate, Status};
pub use contradicted::{Contradicted, contradicted};

/// How a law is fitted.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What is minimised.
    pub measure: Measure,
    /// Starts that are refined.
    pub starts: usize,
    /// Resamples behind each interval.
    pub bootstrap: Bootstrap,
    /// What a resample draws.
    pub resample: Resample,
}

impl Default for Options {
    fn default() -> Self {
        let bootstrap = Bootstrap::default();
        Self { measure: Measure::default(), starts: STARTS, bootstrap, resample: Resample::Runs }
    }
}

/// Starts that are refined, from twelve times as many draws.
pub const STARTS: usize = 64;

/// A law with its numbers and what they rest on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// Formula, status, numbers, residuals and conclusion.
    #[serde(flatten)]
    pub law: LawFit,
    /// The numbers alone, in the order of `draws`.
    pub values: Vec<f64>,
    /// The numbers of each resample.
    pub draws: Vec<Vec<f64>>,
    /// The information criterion `AICc`; lower is better, a difference above 10 is decisive.
    pub aicc: f64,
    /// What it says of the most expensive rows when it has not seen them.
    pub held_out: Option<HeldOut>,
    /// Starts that ended at this minimum, and the different minima that were found.
    pub starts: (usize, usize),
    /// The columns that it needs.
    pub columns: Vec<String>,
    /// The range of each column of the rows behind it, its own and others.
    pub spans: Vec<Span>,
    /// What the cheapest and the most expensive of them cost, where that is known.
    pub cost: Option<[f64; 2]>,
    /// The labels of each index, in the order in which their numbers stand.
    pub labels: Vec<Labels>,
}

/// The least and the greatest value of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// The name that the formula uses.
    pub name: String,
    /// Least value.
    pub low: f64,
    /// Greatest value.
    pub high: f64,
}

/// The groups that an index tells apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Labels {
    /// The column.
    pub index: String,
    /// Its values.
    pub labels: Vec<String>,
}

/// The most expensive rows as the law predicts them from the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Rows held out.
    pub rows: usize,
    /// Factor by which the most expensive row that was seen is cheaper than the most expensive of all.
    pub factor: f64,
    /// Root of the mean squared error of the predicted losses, in nats.
    pub rms: f64,
    /// Mean of predicted minus measured loss.
    pub mean: f64,
}

/// A direction of the unknowns in which the rows say less than this, relative to each alone, is one that they do not tell.
const BLIND: f64 = 1e-8;

/// Fits a law with intervals. An error says what in the formula these rows cannot give.
pub fn fit(law: &Law, data: &Data, options: &Options) -> Result<Written, FormulaError> {
    let bound = law.bind(data)?;
    enough(&bound)?;
    let seed = options.bootstrap.seed;
    let Some(best) = formula::solve(&bound, options.measure, options.starts, seed) else {
        return Err(formula::nowhere(&bound, options.measure, seed));
    };
    if let Some(overflow) = overflow(&bound, &best, options) {
        return Err(overflow);
    }
    let (mut best, gone) = formula::look(&bound, best, options.measure, seed);
    let weights: Vec<f64> = data.cost.clone().unwrap_or_else(|| vec![1.0; data.len()]);
    let units = Units::new(options.resample, &weights, places(law, data));
    let starts: Vec<&[f64]> = std::iter::once(&best.values[..]).chain(elsewhere(&gone)).collect();
    let draws = drawn(&bound, options, &units, &starts);
    let lost = draws.iter().filter(|draw| draw.is_none()).count();
    let mut draws: Vec<Vec<f64>> = draws.into_iter().flatten().collect();
    let trusted = trust(&bound, &best, options.measure, &units, &gone);
    let mut at_end = best.at_bounds(&bound);
    at_end.extend(gone.iter().map(|gone| gone.number));
    let counts = that_count(&best.values, &gone);
    formula::zeroed(&bound, &mut best.values, &counts);
    for draw in &mut draws {
        formula::zeroed(&bound, draw, &counts);
    }
    let parameters = parameters(&bound, &best.values, &draws, &at_end);
    let told = match (effect::none(&bound, options.measure, &best.values), trusted) {
        (Some(none), _) => Some((Status::NotIdentified, none)),
        (None, (Status::Converged, _)) => scattered(&bound, &parameters, &draws, lost)
            .or_else(|| open(&bound, &best, options.measure, &parameters))
            .or_else(|| Some((Status::EdgeMinimum, settings::beyond(law, data, &best.values)?))),
        (None, told) => Some(told),
    };
    let (status, doubt) = told.unwrap_or((Status::Converged, String::new()));
    let residuals = residuals(&bound, options.measure, &best.values);
    let held_out = held_out(law, data, options);
    let conclusion = if doubt.is_empty() { conclude(law, &residuals, held_out) } else { doubt };
    Ok(Written {
        law: LawFit {
            formula: law.formula.clone(),
            status,
            points: data.len(),
            parameters,
            residuals: Some(residuals),
            resampled: options.resample.name().to_owned(),
            conclusion,
        },
        aicc: aicc(residuals.rms, data.len(), bound.numbers.len()),
        held_out,
        starts: best.agree,
        columns: law.columns.clone(),
        spans: spans(data),
        cost: data.cost.as_ref().map(|cost| ends(cost.iter().copied()).into()),
        labels: law.indices.iter().filter_map(|index| labels(index, data)).collect(),
        values: best.values,
        draws,
    })
}

/// The numbers of each resample, fitted from the best of some starts; nothing where it has no such law.
fn drawn(bound: &Bound<'_>, options: &Options, units: &Units, starts: &[&[f64]]) -> Vec<Option<Vec<f64>>> {
    options.bootstrap.draws(|rng| {
        let mut counts = vec![0.0; bound.data.len()];
        units.draw(rng).for_each(|row| counts[row] += 1.0);
        let found = formula::again(bound, options.measure, &counts, starts)?;
        found.iter().all(|value| value.is_finite()).then_some(found)
    })
}

/// Every number with its interval; those `at_end` may have none.
fn parameters(bound: &Bound<'_>, values: &[f64], draws: &[Vec<f64>], at_end: &[usize]) -> Vec<Parameter> {
    let number = |(k, number): (usize, &Number)| {
        let estimate = Estimate::from_draws(values[k], draws.iter().map(|draw| draw[k]));
        Parameter::new(&number.label, "", if at_end.contains(&k) { not_a_point(estimate) } else { estimate })
    };
    bound.numbers.iter().enumerate().map(number).collect()
}

/// Where resamples start beside the numbers of the rows.
fn elsewhere(gone: &[Gone]) -> impl Iterator<Item = &[f64]> {
    gone.iter().flat_map(|gone| gone.starts.iter().map(Vec::as_slice))
}

/// For each number a value that counts.
fn that_count(values: &[f64], gone: &[Gone]) -> Vec<f64> {
    let mut counts = values.to_vec();
    for gone in gone {
        counts[gone.number] = gone.counts;
    }
    counts
}

/// An interval at a bound is one-sided; where every resample ended there, there is none.
fn not_a_point(estimate: Estimate) -> Estimate {
    let Estimate { value, low, high } = estimate;
    if high - low > 1e-9 * value.abs() { estimate } else { Estimate { value, low: f64::NAN, high: f64::NAN } }
}

/// Why these rows cannot tell the law, found without resamples: by the tests of [`fit`], in a sentence.
pub fn doubt(law: &Law, data: &Data, options: &Options) -> Option<String> {
    let bound = law.bind(data).ok()?;
    if let Err(few) = enough(&bound) {
        return Some(few.what);
    }
    let seed = options.bootstrap.seed;
    let Some(best) = formula::solve(&bound, options.measure, options.starts, seed) else {
        return Some("the law is no number for these rows, from any start".to_owned());
    };
    let (best, gone) = formula::look(&bound, best, options.measure, seed);
    let units = Units::new(options.resample, &vec![1.0; data.len()], places(law, data));
    let (status, sentence) = trust(&bound, &best, options.measure, &units, &gone);
    let none = effect::none(&bound, options.measure, &best.values);
    none.or_else(|| (status != Status::Converged).then_some(sentence))
}

/// What the resamples, of which some have no such law, say against numbers that the rows themselves tell.
fn scattered(bound: &Bound<'_>, parameters: &[Parameter], draws: &[Vec<f64>], lost: usize) -> Option<(Status, String)> {
    let resamples = draws.len() + lost;
    if too_many_lost(lost, resamples) {
        let sentence = format!("Not identified: {lost} of {resamples} resamples have no such law.");
        return Some((Status::NotIdentified, sentence));
    }
    if let Some(Parameter { name, estimate, .. }) = parameters.iter().find(|one| is_open(one.estimate)) {
        let Estimate { low, high, .. } = estimate;
        let sentence = format!("Not identified: '{name}' may be anything from {low:.0e} to {high:.0e}.");
        return Some((Status::NotIdentified, sentence));
    }
    let (open, end) = bounded_by_its_range(bound, draws)?;
    let sentence = format!("'{open}' is not told: in too many resamples it ends at {end}, the end of its range.");
    Some((Status::BoundHit, sentence))
}

/// What the rows say against an interval that ends where they do not.
fn open(bound: &Bound<'_>, best: &Solution, measure: Measure, parameters: &[Parameter]) -> Option<(Status, String)> {
    let intervals: Vec<Estimate> = parameters.iter().map(|one| one.estimate).collect();
    let (number, value) = formula::as_good_outside(bound, best, measure, &intervals)?;
    let Parameter { name, estimate: Estimate { low, high, .. }, .. } = &parameters[number];
    let sentence = format!(
        "Not identified: with '{name}' at {} the rows are fitted as well, though resamples end between {} and {}: they do not \
         tell it.",
        short(value),
        short(*low),
        short(*high)
    );
    Some((Status::NotIdentified, sentence))
}

/// A number of any size in a sentence.
fn short(value: f64) -> String {
    if (1e-3..1e4).contains(&value.abs()) { format!("{value:.3}") } else { format!("{value:.3e}") }
}

/// A number whose resamples end at an end of its range other than zero more often than its interval leaves out, with that end: the
/// interval is then one of the range.
fn bounded_by_its_range<'a>(bound: &'a Bound<'_>, draws: &[Vec<f64>]) -> Option<(&'a str, f64)> {
    let numbers = bound.numbers.iter().enumerate().filter(|(_, number)| number.is_free());
    let mut ends = numbers.flat_map(|(k, number)| [number.range.0, number.range.1].map(|end| (k, number, end)));
    let is_hit = |(k, _, end): &(usize, _, f64)| {
        let near = |draw: &&Vec<f64>| (draw[*k] - end).abs() <= 1e-6 * end.abs();
        end.is_finite() && *end != 0.0 && too_many_lost(draws.iter().filter(near).count(), draws.len())
    };
    ends.find(is_hit).map(|(_, number, end)| (number.label.as_str(), end))
}

/// For each row the values of what the law depends on.
fn places(law: &Law, data: &Data) -> Vec<Vec<f64>> {
    let columns: Vec<&Vec<f64>> = law.columns.iter().filter_map(|name| data.columns.get(name)).collect();
    let groups: Vec<&Vec<u32>> = law.indices.iter().filter_map(|name| Some(&data.groups.get(name)?.of)).collect();
    let place = |row: usize| {
        let values = columns.iter().map(|values| values[row]);
        values.chain(groups.iter().map(|of| f64::from(of[row]))).collect()
    };
    (0..data.len()).map(place).collect()
}

/// What in the formula these rows cannot give, as far as that shows before anything is fitted.
pub fn require(law: &Law, data: &Data) -> Result<(), FormulaError> {
    enough(&law.bind(data)?)
}

/// Whether an interval reaches so far beyond the number that nothing is known of it.
fn is_open(Estimate { value, low, high }: Estimate) -> bool {
    const FAR: f64 = 1e12;
    value != 0.0 && low.abs().max(high.abs()) > FAR * value.abs()
}

/// More rows than unknowns.
fn enough(bound: &Bound<'_>) -> Result<(), FormulaError> {
    let (rows, unknowns) = (bound.data.len(), bound.free());
    if rows > unknowns + 1 {
        return Ok(());
    }
    let shown: Vec<&str> = bound.numbers.iter().take(8).map(|number| number.label.as_str()).collect();
    let more = if unknowns > shown.len() { ", ..." } else { "" };
    let what = format!(
        "{unknowns} unknowns ({}{more}) for {rows} rows: at least {} rows are needed, or fewer unknowns",
        shown.join(", "),
        unknowns + 2
    );
    Err(FormulaError::new(&bound.law.formula, bound.law.right_side(), what))
}

fn residuals(bound: &Bound<'_>, measure: Measure, values: &[f64]) -> Residuals {
    let predicted = bound.predict(values);
    Residuals::of(predicted.iter().zip(&bound.data.loss).map(|(predicted, loss)| measure.of(*predicted, *loss)))
}

/// Where the law overflows with the other sign of an unknown that no row tells from any start: it never came to where it counts.
/// What rows told at first and a search drove away, such as an exponent of the one size that there is, is not told by rows that
/// do not differ, and that is a status.
fn overflow(bound: &Bound<'_>, best: &Solution, options: &Options) -> Option<FormulaError> {
    let may_turn = |k: &usize| {
        let (low, high) = bound.numbers[*k].range;
        (low..=high).contains(&-best.values[*k])
    };
    let mut untold = formula::untold(bound, options.bootstrap.seed);
    untold.retain(may_turn);
    let mut turned = best.values.clone();
    for k in &untold {
        turned[*k] = -turned[*k];
    }
    bound.breaks(&turned).filter(|_| !untold.is_empty())
}

/// What is said of numbers that went to zero.
fn went_to_zero(gone: &[Gone], at: impl Fn(usize) -> String) -> Option<(Status, String)> {
    if let Some((gone, value)) = gone.iter().find_map(|gone| Some((gone, gone.as_well?))) {
        let value = short(value);
        let sentence = format!(
            "Not identified: {} went to zero, but with {value} the rows are fitted as well: they do not tell it.",
            at(gone.number)
        );
        return Some((Status::NotIdentified, sentence));
    }
    let gone = gone.first()?;
    let sentence = format!("{} went to zero: the rows do not want that part of the law.", at(gone.number));
    Some((Status::BoundHit, sentence))
}

/// Whether the rows tell every number, and a sentence where they do not.
fn trust(bound: &Bound<'_>, best: &Solution, measure: Measure, units: &Units, gone: &[Gone]) -> (Status, String) {
    let label = |k: usize| bound.numbers[k].label.as_str();
    let character = |k: usize| bound.law.formula[..bound.unknown(k).place.start].chars().count() + 1;
    let at = |k: usize| format!("'{}' (character {} of the formula)", label(k), character(k));
    let information = best.information(bound, measure);
    let fixed = |k: usize| !bound.numbers[k].is_free();
    if let Some(silent) =
        (0..bound.numbers.len()).find(|&k| !fixed(k) && information.slopes[k].iter().all(|slope| *slope == 0.0))
    {
        return (Status::NotIdentified, format!("Not identified: no row tells {}.", at(silent)));
    }
    if let Some(told) = went_to_zero(gone, at) {
        return told;
    }
    let (least, direction) = bounded::weakest(&information.without(fixed));
    if least < BLIND {
        let free: Vec<usize> = (0..bound.numbers.len()).filter(|&k| !fixed(k)).collect();
        let part: Vec<String> =
            free.iter().zip(&direction).filter(|(_, share)| share.abs() > 0.1).map(|(&k, _)| at(k)).collect();
        let sentence = format!(
            "Not identified: {} can change together without changing what the law says of any row; leave one of them out, or \
             set it with --unknown \"NAME = VALUE\".",
            part.join(" and ")
        );
        return (Status::NotIdentified, sentence);
    }
    let at_bounds = best.at_bounds(bound);
    let size = |k: usize| root_mean_square(&information.slopes[k]);
    let grown = |k: usize| at_bounds.contains(&k) && best.values[k] >= 0.5 * bound.numbers[k].range.1;
    let silent =
        |k: &usize| bound.numbers[*k].is_free() && best.moves_by_factors(*k) && size(*k) < NOTHING && !grown(*k);
    if let Some(silent) = (0..bound.numbers.len()).find(silent) {
        let sentence = format!("Not identified: hardly any row tells {}.", at(silent));
        return (Status::NotIdentified, sentence);
    }
    if !at_bounds.is_empty() {
        let names: Vec<String> = at_bounds.into_iter().map(at).collect();
        let sentence =
            format!("At a bound of its range: {}. The others are what they are given that.", names.join(", "));
        return (Status::BoundHit, sentence);
    }
    if !best.converged {
        return (Status::NotIdentified, "The solver did not come to rest: the numbers may still move.".to_owned());
    }
    let unknowns = bound.free();
    if units.resample == Resample::Runs && units.count() < unknowns + 2 {
        let sentence = format!(
            "Not identified: the rows differ in what the law depends on at {} places only, and {unknowns} unknowns need {}.",
            units.count(),
            unknowns + 2
        );
        return (Status::NotIdentified, sentence);
    }
    (Status::Converged, String::new())
}

/// The unit of what a law predicts, behind a number.
fn unit(law: &Law) -> &'static str {
    if is_loss(&law.target) { " nats" } else { "" }
}

fn conclude(law: &Law, residuals: &Residuals, held_out: Option<HeldOut>) -> String {
    let unit = unit(law);
    let inside = format!("The rows lie {:.4} from the law (root mean square)", residuals.rms);
    let Some(HeldOut { rows, factor, rms, mean }) = held_out else {
        return format!("{inside}; there are too few costs to hold the most expensive out.");
    };
    format!(
        "{inside}; fitted without the {rows} most expensive, up to {factor:.3} times the cost of the others, it misses them by \
         {rms:.4}{unit} ({mean:+.4} on average)."
    )
}

fn spans(data: &Data) -> Vec<Span> {
    let span = |(name, values): (&String, &Vec<f64>)| {
        let (low, high) = ends(values.iter().copied());
        Span { name: name.clone(), low, high }
    };
    data.columns.iter().map(span).collect()
}

fn labels(index: &str, data: &Data) -> Option<Labels> {
    data.groups.get(index).map(|grouping| Labels { index: index.to_owned(), labels: grouping.labels.clone() })
}

/// Costs within this share of each other are those of one budget, which is held out whole.
const ONE_BUDGET: f64 = 0.03;

/// Rows that are held out because they cost most, and the others: the last half decade of cost, or the most expensive fifth
/// where that is most of them, and what is of the same budget as its cheapest row. Nothing where cost is not known or hardly
/// differs.
pub fn split_by_cost(data: &Data) -> Option<(Vec<usize>, Vec<usize>)> {
    let cost = data.cost.as_ref()?;
    let mut order: Vec<usize> = (0..data.len()).collect();
    order.sort_by(|&i, &j| cost[i].total_cmp(&cost[j]));
    let greatest = *order.last().map(|&row| &cost[row])?;
    let in_half_decade = order.iter().filter(|&&row| cost[row] >= greatest / 10_f64.sqrt()).count();
    let most = data.len() / 5;
    let edge =
        if in_half_decade <= most { greatest / 10_f64.sqrt() } else { cost[*order.get(data.len() - most.max(1))?] };
    let (seen, held): (Vec<usize>, Vec<usize>) =
        order.into_iter().partition(|&row| cost[row] < edge * (1.0 - ONE_BUDGET));
    (seen.len() > held.len()).then_some((seen, held))
}

/// The law fitted to the cheaper rows, on the most expensive ones.
fn held_out(law: &Law, data: &Data, options: &Options) -> Option<HeldOut> {
    let (seen, held) = split_by_cost(data)?;
    let (cheap, dear) = (data.select(&seen), data.select(&held));
    let bound = law.bind(&cheap).ok()?;
    enough(&bound).ok()?;
    // From afresh: a start at the fit to all rows would know what is held out.
    let found = formula::solve(&bound, options.measure, options.starts, options.bootstrap.seed)?;
    HeldOut::of(&errors_on(law, &dear, &found.values)?, &cheap, &dear)
}

/// What some numbers of the law miss each of some rows by.
fn errors_on(law: &Law, rows: &Data, values: &[f64]) -> Option<Vec<f64>> {
    let predicted = law.bind(rows).ok()?.predict(values);
    Some(predicted.iter().zip(&rows.loss).map(|(predicted, loss)| predicted - loss).collect())
}

impl HeldOut {
    /// Of errors on `dear` rows by a fit to `cheap` ones.
    fn of(errors: &[f64], cheap: &Data, dear: &Data) -> Option<Self> {
        let greatest = |data: &Data| data.cost.as_ref().map(|cost| cost.iter().copied().fold(0.0, f64::max));
        Some(Self {
            rows: errors.len(),
            factor: greatest(dear)? / greatest(cheap)?,
            rms: root_mean_square(errors),
            mean: mean(errors),
        })
    }
}
