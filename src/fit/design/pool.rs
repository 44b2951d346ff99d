//! Runs bought from a pool until a budget is spent, so that a law predicts a region that it never sees.
//!
//! After each purchase the law is fitted to copies of what was bought ([`Copies`]). Their predictions of the region and of the
//! rows of the pool say which rows would narrow the region's predictions most ([`Ensemble`]), and that is weighed against
//! what a row costs, in the way that by its own forecast narrows them most until the budget is spent. Rows far from the region count less where they show that the law is worse there. The benchmark of
//! arXiv 2604.22753 is played so.

use rayon::prelude::*;

use crate::fit::Estimate;
use crate::fit::design::ensemble::Ensemble;
use crate::fit::formula::{Copies, Data, FormulaError, Law, Lesson, Measure, Residual};
use crate::fit::numerics::averages::median;
use crate::fit::numerics::order::ends;

/// How to choose.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the fits minimise.
    pub measure: Measure,
    /// Copies of the rows.
    pub copies: usize,
    /// Seed of their noise and starts.
    pub seed: u64,
}

impl Options {
    /// As many copies as a benchmark uses.
    pub const COPIES: usize = 48;
}

/// Powers of the cost that gains are weighed by. By large ones cheap rows win as long as they tell anything, by small ones those
/// beside the region; which is better is what the copies forecast. arXiv 2604.22753 has 0.4.
const POWERS: [f64; 3] = [0.2, 0.4, 0.7];
/// The same while there is no forecast.
const POWER: f64 = 0.4;
/// Rounds of fits where all rows are bought at once.
const LOOKS: usize = 4;
/// Rounds after which copies are at rest. Where few rows were bought they had few, one a purchase.
const RESTED: usize = 12;
/// A round buys one row more for each so many that are there.
const EACH: usize = 8;
/// Predictions further away than so many times the largest loss are all the same.
const FAR: f64 = 2.0;

/// A pool, what was bought from it, and what that tells.
#[derive(Debug)]
pub struct Pool<'a> {
    law: &'a Law,
    data: &'a Data,
    cost: Vec<f64>,
    target: &'a Data,
    /// How far each row is from the region, in units of the pool's range.
    away: Vec<f64>,
    options: Options,
    copies: Copies,
    /// The rows that were bought, in their order.
    pub bought: Vec<usize>,
    /// What they cost.
    pub spent: f64,
}

impl<'a> Pool<'a> {
    /// A pool of which nothing was bought. Rows whose cost nobody knows cost one each.
    pub fn new(law: &'a Law, data: &'a Data, target: &'a Data, options: Options) -> Result<Self, FormulaError> {
        law.bind(data)?;
        law.bind(target)?;
        let cost = data.cost.clone().unwrap_or_else(|| vec![1.0; data.len()]);
        let copies = Copies::new(options.copies, data.len(), options.seed);
        let away = away(law, data, target);
        Ok(Self { law, data, cost, target, away, options, copies, bought: Vec::new(), spent: 0.0 })
    }

    /// What all rows cost.
    pub fn total(&self) -> f64 {
        self.cost.iter().sum()
    }

    /// Buys until nothing more is within the budget, which counts from the beginning.
    pub fn spend(&mut self, budget: f64) -> Result<(), FormulaError> {
        loop {
            let within = |row: &usize| self.spent + self.cost[*row] <= budget * (1.0 + 1e-12);
            let free: Vec<usize> = (0..self.data.len()).filter(|row| !self.bought.contains(row)).collect();
            let free: Vec<usize> = free.into_iter().filter(within).collect();
            let all = free.iter().map(|row| self.cost[*row]).sum::<f64>() + self.spent <= budget * (1.0 + 1e-12);
            // Where everything can be paid for, nothing is to be chosen.
            let chosen = if all { free } else { self.choose(&free, budget)? };
            if chosen.is_empty() {
                return Ok(());
            }
            for row in chosen {
                self.spent += self.cost[row];
                self.bought.push(row);
            }
            self.copies = self.learned(if all { LOOKS } else { 1 })?;
        }
    }

    fn away_of(&self, rows: &[usize]) -> Vec<f64> {
        rows.iter().map(|row| self.away[*row]).collect()
    }

    /// The copies fitted to what was bought, again and again: they leave bad minima by looking where others are.
    fn learned(&self, looks: usize) -> Result<Copies, FormulaError> {
        let mut copies = self.copies.clone();
        let seen = self.data.select(&self.bought);
        // Of the region only the places are known.
        let usual = median(seen.loss.clone());
        let rows = seen.with(&Data { loss: vec![usual; self.target.len()], ..self.target.clone() });
        let bound = self.law.bind(&rows)?;
        let (measure, away) = (self.options.measure, self.away_of(&self.bought));
        for _ in 0..looks {
            copies.learn(Lesson { bound: &bound, places: &self.bought, away: &away, measure });
        }
        Ok(copies)
    }

    /// What copies predict of a row each, within bounds so that one that went astray does not decide alone.
    fn predictions(&self, copies: &Copies, data: &Data) -> Result<Vec<Vec<f64>>, FormulaError> {
        let bound = self.law.bind(data)?;
        let most = FAR * self.bought.iter().map(|row| self.data.loss[*row]).fold(0.0, f64::max);
        // A loss is above zero where all that were seen are.
        let least = if self.bought.iter().all(|row| self.data.loss[*row] > 0.0) { 0.0 } else { -most };
        let each: Vec<Vec<f64>> = copies.values.iter().map(|values| bound.predict(values)).collect();
        let within = |x: f64| if x.is_finite() { x.clamp(least, most) } else { most };
        Ok((0..data.len()).map(|row| each.iter().map(|one| within(one[row])).collect()).collect())
    }

    /// The next rows: spread over the cheap ones while there are fewer than unknowns, then those that tell most.
    fn choose(&self, free: &[usize], budget: f64) -> Result<Vec<usize>, FormulaError> {
        let unknowns = self.law.unknowns.len();
        if free.is_empty() || self.bought.len() < unknowns {
            return Ok(self.apart(free, budget, unknowns - self.bought.len().min(unknowns)).into_iter().collect());
        }
        let of = |data: &Data| self.predictions(&self.copies, data);
        let (targets, candidates) = (of(self.target)?, of(&self.data.select(free))?);
        let unit = match self.options.measure.residual {
            Residual::Plain => 1.0,
            Residual::Log => median(candidates.iter().flatten().copied().collect()),
        };
        let noise = self.away_of(free).into_iter().map(|away| (unit * self.copies.noise(away)).powi(2)).collect();
        let ensemble = Ensemble::new(targets, candidates, noise);
        let plans = POWERS.into_par_iter().map(|power| self.plan(free, budget, ensemble.clone(), power));
        let plans: Vec<(f64, Vec<usize>)> = plans.collect();
        let best = plans.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        let count = (self.bought.len() / EACH).max(1);
        Ok(best.map_or_else(Vec::new, |(_, rows)| rows.into_iter().take(count).collect()))
    }

    /// The rows that would be bought one after the other until the budget is spent, gains weighed by a power of the cost, and
    /// how much the region's predictions would vary then.
    fn plan(&self, free: &[usize], budget: f64, mut ensemble: Ensemble, power: f64) -> (f64, Vec<usize>) {
        let mut open: Vec<usize> = (0..free.len()).collect();
        let (mut rows, mut spent) = (Vec::new(), self.spent);
        loop {
            open.retain(|at| spent + self.cost[free[*at]] <= budget);
            let score = |at: &usize| ensemble.gain(*at) / self.cost[free[*at]].powf(power);
            let scored = open.iter().map(score).enumerate().filter(|(_, score)| score.is_finite());
            let best = scored.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, score)| *score > 0.0);
            let Some((place, _)) = best else { break };
            let at = open.remove(place);
            spent += self.cost[free[at]];
            ensemble.observe(at);
            rows.push(free[at]);
        }
        if rows.is_empty() {
            // What tells nothing by this many copies may still tell something.
            rows.extend(self.cheapest(free));
        }
        (ensemble.variance(), rows)
    }

    fn cheapest(&self, rows: &[usize]) -> Option<usize> {
        rows.iter().copied().min_by(|&a, &b| self.cost[a].total_cmp(&self.cost[b]))
    }

    /// The row that is farthest from those that were bought, for its cost; the cheapest where there are none. It leaves half
    /// of its share of the budget to the `left` that are still needed.
    fn apart(&self, free: &[usize], budget: f64, left: usize) -> Option<usize> {
        let share = 0.5 * (budget - self.spent) / left.max(1) as f64;
        let cheap: Vec<usize> = free.iter().copied().filter(|row| self.cost[*row] <= share).collect();
        if cheap.is_empty() {
            return self.cheapest(free);
        }
        let columns: Vec<Vec<f64>> =
            self.law.columns.iter().map(|name| unit(&self.data.columns[name], &[]).0).collect();
        let distance = |a: usize, b: usize| columns.iter().map(|column| (column[a] - column[b]).powi(2)).sum::<f64>();
        let score = |row: usize| {
            let nearest = self.bought.iter().map(|other| distance(row, *other)).fold(f64::INFINITY, f64::min);
            nearest.min(1e3) / self.cost[row].powf(POWER)
        };
        cheap.into_iter().max_by(|&a, &b| score(a).total_cmp(&score(b)))
    }

    /// The region as it is predicted now: the median of the copies, with 95% of them. A choice gets along with copies on their way
    /// to a minimum; an answer lets copies of its own come to rest, so that asking for it changes no choice.
    pub fn predict(&self) -> Result<Vec<Estimate>, FormulaError> {
        let looks = if self.bought.is_empty() { 0 } else { RESTED.saturating_sub(self.copies.rounds()) };
        let copies = self.learned(looks)?;
        let each = self.predictions(&copies, self.target)?;
        Ok(each.into_iter().map(|copies| Estimate::from_draws(median(copies.clone()), copies)).collect())
    }
}

/// How far each row is from the nearest place of a region, in units of the rows' range.
fn away(law: &Law, data: &Data, region: &Data) -> Vec<f64> {
    let columns = law.columns.iter().map(|name| unit(&data.columns[name], &region.columns[name]));
    let columns: Vec<(Vec<f64>, Vec<f64>)> = columns.collect();
    let squared =
        |row: usize, place: usize| columns.iter().map(|(own, theirs)| (own[row] - theirs[place]).powi(2)).sum();
    let nearest = |row| (0..region.len()).map(|place| squared(row, place)).fold(f64::INFINITY, f64::min);
    // Where the law has no columns there is no distance.
    (0..data.len()).map(|row| nearest(row).sqrt()).map(|away: f64| if away.is_finite() { away } else { 0.0 }).collect()
}

/// Values, and others beside them, in units of the first ones' range, in logarithms where all are above zero.
fn unit(values: &[f64], others: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let logarithms = values.iter().chain(others).all(|value| *value > 0.0);
    let scaled = |x: &f64| if logarithms { x.ln() } else { *x };
    let (low, high) = ends(values.iter().map(scaled));
    let range = (high - low).max(1e-9);
    let all = |values: &[f64]| values.iter().map(|x| (scaled(x) - low) / range).collect();
    (all(values), all(others))
}

/// Share of the measured losses' scatter that predictions explain, from -1 to 1, as the benchmark counts it.
pub fn explained(measured: &[f64], predicted: &[f64]) -> f64 {
    let mean = measured.iter().sum::<f64>() / measured.len() as f64;
    let scatter: f64 = measured.iter().map(|x| (x - mean).powi(2)).sum();
    let missed: f64 = measured.iter().zip(predicted).map(|(x, y)| (x - y).powi(2)).sum();
    if scatter > 0.0 && missed.is_finite() { (1.0 - missed / scatter).max(-1.0) } else { -1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::formula::{Asked, Formula};

    /// Losses of E + A/N^a over two decades of N, at a cost of N, and of the region beyond.
    fn planted(from: f64, decades: f64, rows: usize) -> Data {
        let n: Vec<f64> = (0..rows).map(|i| from * 10_f64.powf(decades * i as f64 / (rows - 1) as f64)).collect();
        let loss =
            n.iter().enumerate().map(|(i, n)| (1.7 + 60.0 * n.powf(-0.3)) * (1.0 + 1e-3 * (i as f64 * 2.4).sin()));
        Data { loss: loss.collect(), cost: Some(n.clone()), columns: [("N".to_owned(), n)].into(), ..Data::default() }
    }

    fn law() -> Law {
        let unknowns = ["E in 0..5", "A in 1e-3..1e6", "a in 0.05..1"].map(|text| Asked::parse(text).unwrap());
        Formula::parse("loss = E + A/N^a").unwrap().law(&|name| name == "N", &unknowns).unwrap()
    }

    #[test]
    fn a_tenth_of_the_cost_predicts_what_is_beyond_all_of_it() {
        let (law, pool, target) = (law(), planted(1e5, 2.5, 60), planted(1e8, 1.0, 8));
        let options = Options { measure: Measure::default(), copies: Options::COPIES, seed: 1 };
        let mut few = Pool::new(&law, &pool, &target, options).unwrap();
        let total = few.total();
        few.spend(0.1 * total).unwrap();
        assert!(few.spent <= 0.1 * total && few.bought.len() >= 4, "{:?}", few.bought);
        let predicted = few.predict().unwrap();
        for (estimate, loss) in predicted.iter().zip(&target.loss) {
            assert!((estimate.value / loss - 1.0).abs() < 0.02, "{estimate:?} and not {loss}");
        }
        let held = predicted.iter().zip(&target.loss).filter(|(estimate, loss)| estimate.holds(**loss)).count();
        assert!(held >= 6, "{held} of 8 intervals hold the loss: {predicted:?}");
        // The same seed buys the same, and a higher budget goes on from there.
        let mut again = Pool::new(&law, &pool, &target, options).unwrap();
        again.spend(0.1 * total).unwrap();
        assert_eq!(again.bought, few.bought);
        again.spend(total).unwrap();
        assert_eq!((again.bought.len(), &again.bought[..few.bought.len()]), (60, &few.bought[..]));
    }

    /// A surface of 8 sizes and 8 lengths, and places beyond it.
    fn surface() -> [Data; 2] {
        let data = |places: Vec<(f64, f64)>| {
            let loss = places.iter().enumerate().map(|(i, (n, d))| {
                (1.69 + 406.4 * n.powf(-0.34) + 410.7 * d.powf(-0.28)) * (1.0 + 1e-3 * (i as f64 * 2.4).sin())
            });
            let (n, d): (Vec<f64>, Vec<f64>) = places.iter().copied().unzip();
            Data {
                loss: loss.collect(),
                cost: Some(places.iter().map(|(n, d)| 6.0 * n * d).collect()),
                columns: [("N".to_owned(), n), ("D".to_owned(), d)].into(),
                ..Data::default()
            }
        };
        let grid = (0..64).map(|i| (1e7 * 2_f64.powi(i / 8), 1e9 * 2_f64.powi(i % 8))).collect();
        let beyond = |i: i32| {
            let share = |by: f64| (f64::from(i) * by).fract();
            (1e9 * 10_f64.powf(share(0.618)), 1e11 * 10_f64.powf(share(0.755)))
        };
        [data(grid), data((0..30).map(beyond).collect())]
    }

    #[test]
    fn what_is_said_of_unknowns_does_not_make_a_choice_worse() {
        let [pool, target] = surface();
        let said: [&[&str]; 5] = [
            &[],
            &["alpha in 0..1", "beta in 0..1"],
            &["alpha in 0.1..1", "beta in 0.1..1"],
            &["alpha > 0", "beta > 0"],
            &["beta in 0..1"],
        ];
        for said in said {
            let unknowns: Vec<Asked> = said.iter().map(|text| Asked::parse(text).unwrap()).collect();
            let formula = Formula::parse("loss = E + A/N^alpha + B/D^beta").unwrap();
            let law = formula.law(&|name| ["N", "D"].contains(&name), &unknowns).unwrap();
            for seed in 0..3 {
                let options = Options { measure: Measure::default(), copies: Options::COPIES, seed };
                let mut bought = Pool::new(&law, &pool, &target, options).unwrap();
                bought.spend(0.1 * bought.total()).unwrap();
                let predicted: Vec<f64> = bought.predict().unwrap().iter().map(|estimate| estimate.value).collect();
                let r2 = explained(&target.loss, &predicted);
                assert!(r2 > 0.99, "{said:?}, seed {seed}: {r2}");
            }
        }
    }

    /// Losses that a law describes the worse the farther they are from the region: by 6% at the other end of the pool.
    #[test]
    fn rows_count_less_where_they_show_that_the_law_is_worse() {
        let worse = |mut data: Data| {
            let of = |(i, (loss, n)): (usize, (&mut f64, &f64))| {
                let away = ((8.0 - n.log10()) / 3.0).max(0.0);
                *loss *= 1.0 + (5e-4 + 0.06 * away.powi(3)) * (i as f64 * 2.4).sin();
            };
            data.loss.iter_mut().zip(&data.columns["N"]).enumerate().for_each(of);
            data
        };
        let (law, pool, target) = (law(), worse(planted(1e5, 2.5, 60)), planted(1e8, 1.0, 8));
        for seed in 0..3 {
            let options = Options { measure: Measure::default(), copies: Options::COPIES, seed };
            let mut all = Pool::new(&law, &pool, &target, options).unwrap();
            all.spend(all.total()).unwrap();
            let predicted: Vec<f64> = all.predict().unwrap().iter().map(|estimate| estimate.value).collect();
            // Where all rows count alike it is 0.96 at best.
            let r2 = explained(&target.loss, &predicted);
            assert!(r2 > 0.985, "seed {seed}: {r2}");
        }
    }

    #[test]
    fn a_budget_below_the_cheapest_row_buys_nothing() {
        let (law, pool, target) = (law(), planted(1e5, 2.0, 20), planted(1e8, 1.0, 3));
        let options = Options { measure: Measure::default(), copies: 4, seed: 1 };
        let mut none = Pool::new(&law, &pool, &target, options).unwrap();
        none.spend(1.0).unwrap();
        assert!(none.bought.is_empty() && none.predict().unwrap()[0].value.is_nan());
    }

    #[test]
    fn what_is_explained_is_clipped_as_the_benchmark_does() {
        assert!((explained(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]) - 1.0).abs() < 1e-12);
        assert!(explained(&[1.0, 2.0, 3.0], &[2.0, 2.0, 2.0]).abs() < 1e-12);
        assert!((explained(&[1.0, 2.0, 3.0], &[50.0, 2.0, 3.0]) + 1.0).abs() < 1e-12);
        assert!((explained(&[1.0, 2.0], &[f64::NAN, 1.0]) + 1.0).abs() < 1e-12);
    }
}
