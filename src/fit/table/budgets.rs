//! Which rows share a budget.

use serde::Serialize;

use crate::observation::Observation;

/// Whether two ascending budgets are one: achieved FLOPs differ from planned ones by up to 1% to either side.
pub fn same_budget(lower: f64, upper: f64) -> bool {
    upper <= lower * (1.01 / 0.99)
}

/// Share by which FLOPs of one budget differ where nothing else is told; that of [`same_budget`].
pub const EXACT: f64 = 0.01;
/// Widest budgets that gaps may tell, as the logarithm of the greatest over the least FLOPs.
const WIDEST: f64 = 0.223;
/// How much wider gaps between budgets are than budgets where they are clear.
const CLEAR: f64 = 3.0;
/// Sizes that make a budget a curve; half of the budgets need them where gaps decide.
const SIZES: usize = 4;

/// How runs were put together into budgets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sharing {
    /// FLOPs within this share of each other are one budget.
    pub tolerance: f64,
    /// Budgets that there are.
    pub groups: usize,
}

/// Puts runs together whose budgets are within `tolerance` of each other, or, where that is not told, within what the gaps
/// between them tell; nothing where these are not clear, or all is exact. The shared budget is the geometric mean: then
/// `N_opt D_opt` is on average what the runs of the group cost. Each run keeps its own parameters, tokens and FLOPs.
pub fn share(runs: &mut [Observation], tolerance: Option<f64>) -> Option<Sharing> {
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by(|&i, &j| runs[i].own_budget().total_cmp(&runs[j].own_budget()));
    let tolerance = tolerance.or_else(|| told_by_gaps(&order.iter().map(|&i| &runs[i]).collect::<Vec<_>>()))?;
    let factor = (1.0 + tolerance) / (1.0 - tolerance);
    let mut groups = 0;
    let mut rest = &order[..];
    while let Some(first) = rest.first() {
        let least = runs[*first].own_budget();
        let together = |&i: &usize| {
            if tolerance <= EXACT {
                same_budget(least, runs[i].own_budget())
            } else {
                runs[i].own_budget() <= least * factor
            }
        };
        let (group, others) = rest.split_at(rest.iter().take_while(|i| together(i)).count());
        if tolerance > EXACT {
            let centre = geometric_mean(&group.iter().map(|&i| runs[i].own_budget()).collect::<Vec<_>>());
            for &i in group {
                runs[i].shared_budget = Some(centre);
            }
        }
        groups += 1;
        rest = others;
    }
    Some(Sharing { tolerance, groups })
}

/// Geometric mean, exact where all values are equal.
pub fn geometric_mean(values: &[f64]) -> f64 {
    let excess: f64 = values.iter().map(|value| (value / values[0]).ln()).sum();
    values[0] * (excess / values.len() as f64).exp()
}

/// The tolerance by which budgets fall apart most clearly, of the runs by ascending budget; nothing where 1% does it, or
/// none.
fn told_by_gaps(runs: &[&Observation]) -> Option<f64> {
    let logs: Vec<f64> = runs.iter().map(|run| run.own_budget().ln()).collect();
    let mut exact = Vec::new();
    let mut least = *runs.first()?;
    for (i, run) in runs.iter().enumerate() {
        if !same_budget(least.own_budget(), run.own_budget()) {
            exact.push(i);
            least = run;
        }
    }
    if is_clear(&logs, &exact, runs) {
        return None;
    }
    let mut gaps: Vec<f64> = logs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_by(f64::total_cmp);
    // A clear gap is several times as wide as a budget, and so as the widest gap within one.
    let edges =
        (0..gaps.len()).filter(|&k| gaps[k] > 0.0 && gaps[k] >= CLEAR * k.checked_sub(1).map_or(0.0, |k| gaps[k]));
    edges.into_iter().find_map(|k| {
        let cuts: Vec<usize> = (1..logs.len()).filter(|&i| logs[i] - logs[i - 1] >= gaps[k]).collect();
        if !is_clear(&logs, &cuts, runs) || cuts == exact {
            return None;
        }
        // Rounded up to a tenth of a percent, far below the gaps.
        Some(((widest(&logs, &cuts) / 2.0).tanh() * 1e3).ceil() / 1e3).filter(|tolerance| *tolerance > EXACT)
    })
}

/// The groups that cuts before some rows leave.
fn cut<'a, T>(rows: &'a [T], cuts: &'a [usize]) -> impl Iterator<Item = &'a [T]> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([rows.len()]);
    starts.zip(ends).map(|(start, end)| &rows[start..end])
}

/// Width of the widest group.
fn widest(logs: &[f64], cuts: &[usize]) -> f64 {
    cut(logs, cuts).map(|group| group[group.len() - 1] - group[0]).fold(0.0, f64::max)
}

/// Whether these cuts leave groups that are narrow, far from each other, and mostly curves.
fn is_clear(logs: &[f64], cuts: &[usize], runs: &[&Observation]) -> bool {
    let narrowest = cuts.iter().map(|&i| logs[i] - logs[i - 1]).fold(f64::INFINITY, f64::min);
    let widest = widest(logs, cuts);
    if cuts.is_empty() || widest > WIDEST || narrowest < CLEAR * widest {
        return false;
    }
    let curves = cut(runs, cuts).filter(|group| {
        let mut sizes: Vec<u64> = group.iter().map(|run| run.params.to_bits()).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes.len() >= SIZES
    });
    2 * curves.count() > cuts.len()
}

/// How many budgets there are.
pub fn count(budgets: &[f64]) -> usize {
    by_budget(budgets).len()
}

/// Rows by their budgets, in ascending order.
pub fn by_budget(budgets: &[f64]) -> Vec<Vec<usize>> {
    let mut rows: Vec<usize> = (0..budgets.len()).collect();
    rows.sort_by(|&i, &j| budgets[i].total_cmp(&budgets[j]));
    let mut units: Vec<Vec<usize>> = Vec::new();
    for row in rows {
        match units.last_mut() {
            Some(unit) if same_budget(budgets[unit[0]], budgets[row]) => unit.push(row),
            _ => units.push(vec![row]),
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of four budgets and twelve sizes each, whose FLOPs differ by up to `jitter` to either side.
    fn runs(jitter: f64) -> Vec<Observation> {
        let run = |i: usize| {
            let budget = 1e18 * 3_f64.powf((i / 12) as f64);
            let params = 1e8 * 1.3_f64.powf((i % 12) as f64);
            // Spread evenly and out of the order of sizes.
            let flops = budget * (1.0 + jitter * (2.0 * (i * 7 % 12) as f64 / 11.0 - 1.0));
            Observation { flops, ..Observation::of(params, flops / (6.0 * params), 3.0) }
        };
        (0..48).map(run).collect()
    }

    #[test]
    fn budgets_that_clear_gaps_divide_are_found_and_exact_ones_left_alone() {
        for exact in [0.0, 0.004, 0.0099] {
            let mut runs = runs(exact);
            assert_eq!(share(&mut runs, None), None, "{exact}");
            assert!(runs.iter().all(|run| run.shared_budget.is_none()));
        }
        for jitter in [0.015, 0.03, 0.1] {
            let mut runs = runs(jitter);
            let Sharing { tolerance, groups } = share(&mut runs, None).unwrap();
            assert_eq!(groups, 4);
            assert!((jitter..jitter + 0.003).contains(&tolerance), "{jitter}: {tolerance}");
            for (i, run) in runs.iter().enumerate() {
                let planned = 1e18 * 3_f64.powf((i / 12) as f64);
                assert!((run.budget() / planned - 1.0).abs() < jitter * jitter, "{} {planned}", run.budget());
                assert_eq!(run.own_budget().to_bits(), run.flops.to_bits());
            }
        }
    }

    #[test]
    fn gaps_that_tell_nothing_change_nothing() {
        // A ladder, each size at its own FLOPs: no two of a budget.
        let mut ladder = runs(0.0);
        for (i, run) in ladder.iter_mut().enumerate() {
            run.flops = 1e18 * 1.4_f64.powf(i as f64);
        }
        assert_eq!(share(&mut ladder, None), None);
        // Checkpoints of training curves: FLOPs everywhere.
        let mut curves = runs(0.0);
        for (i, run) in curves.iter_mut().enumerate() {
            run.flops = run.params * (1.0 + (i / 12) as f64);
        }
        assert_eq!(share(&mut curves, None), None);
        // So wide that they nearly meet.
        assert_eq!(share(&mut runs(0.3), None), None);
        assert_eq!(share(&mut [], None), None);
        assert_eq!(share(&mut runs(0.0)[..1], None), None);
    }

    #[test]
    fn a_tolerance_that_is_asked_for_is_taken() {
        assert_eq!(share(&mut runs(0.03), Some(0.03)).unwrap().groups, 4);
        let mut exact = runs(0.03);
        assert!(share(&mut exact, Some(EXACT)).unwrap().groups > 8);
        assert!(exact.iter().all(|run| run.shared_budget.is_none()), "1% is what fits do anyway");
        assert_eq!(share(&mut runs(0.3), Some(0.31)).unwrap().groups, 4);
    }
}
