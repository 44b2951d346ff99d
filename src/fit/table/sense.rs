//! Whether the numbers of a table can be what they are read as: parameters and tokens of models, and their FLOPs.

use std::collections::BTreeMap;

use super::number::{LETTERS, factor};
use crate::fit::numerics::averages::median;
use crate::observation::Observation;

/// Tokens per parameter that somebody may have trained on, at the median of a table.
const RATIO: std::ops::RangeInclusive<f64> = 0.1..=1e6;
/// A model of fewer parameters is none.
const SMALLEST: f64 = 1e3;
/// Most that FLOPs differ from 6ND, by whatever is counted.
const FLOPS: f64 = 30.0;
/// What models and data of one table are like where their units are right, for an example of what to write.
const USUAL: (std::ops::RangeInclusive<f64>, std::ops::RangeInclusive<f64>) = (1e4..=1e13, 0.5..=2e3);

/// Most nats per token that a model may have: chance is the logarithm of its vocabulary.
const MOST_NATS: f64 = 15.0;

/// A warning where losses are too high to be nats per token.
pub(super) fn losses(runs: &[Observation]) -> Option<String> {
    let highest = runs.iter().map(|run| run.loss).fold(0.0, f64::max);
    let count = runs.iter().filter(|run| run.loss > MOST_NATS).count();
    (count > 0).then(|| {
        format!(
            "{count} of {} losses are above {MOST_NATS} nats per token, up to {highest}, and chance is 12.2 with a vocabulary of \
             200,000: are they perplexities, sums, or without their decimal point?",
            runs.len()
        )
    })
}

/// A warning where runs of one size, length and seed ended with different losses, as a run and its retry do.
pub(super) fn retries(runs: &[Observation]) -> Option<String> {
    let mut first: BTreeMap<[u64; 3], f64> = BTreeMap::new();
    let others = runs.iter().filter(|run| {
        run.seed.is_some_and(|seed| {
            let known = first.entry([run.params.to_bits(), run.tokens.to_bits(), seed]).or_insert(run.loss);
            known.total_cmp(&run.loss).is_ne()
        })
    });
    let count = others.count();
    let rows = if count == 1 { "row has" } else { "rows have" };
    (count > 0).then(|| {
        format!(
            "{count} {rows} the size, tokens and seed of another row, and another loss: where one is a retry of the other, leave the \
             other out; where they differ in a setting, tell them apart by its column (--by)"
        )
    })
}

/// A column as `--columns` calls it: the field and the name.
pub(super) type Named<'a> = (&'static str, &'a str);

/// A warning where units must be wrong, with what to write; `compute` is the column of FLOPs or budgets, where there is one.
pub(super) fn units(
    runs: &[Observation],
    params: Named<'_>,
    tokens: Named<'_>,
    compute: Option<Named<'_>>,
) -> Option<String> {
    let middle = |of: fn(&Observation) -> f64| median(runs.iter().map(of).collect());
    let (n, d) = (middle(|run| run.params), middle(|run| run.tokens));
    let ratio = middle(|run| run.tokens / run.params);
    let excess = middle(|run| run.flops / (6.0 * run.params * run.tokens));
    let sensible = |excess: f64| (1.0 / FLOPS..=FLOPS).contains(&excess);
    let strange = compute.filter(|_| !sensible(excess));
    if n >= SMALLEST && RATIO.contains(&ratio) && strange.is_none() {
        return None;
    }
    let usual = |[of_n, of_d]: [f64; 2]| USUAL.0.contains(&(n * of_n)) && USUAL.1.contains(&(ratio * of_d / of_n));
    // The fewest units that make it usual, and the FLOPs with it where they can be.
    let find = |fits: &dyn Fn([f64; 2]) -> bool| {
        let pairs = LETTERS.into_iter().flat_map(|n| LETTERS.map(|d| [n, d]));
        pairs.filter(|pair| fits(pair.map(factor))).min_by_key(|pair| pair.concat().len())
    };
    let with_flops = find(&|of| usual(of) && (compute.is_none() || sensible(excess / (of[0] * of[1]))));
    let pair = with_flops.or_else(|| find(&usual)).unwrap_or(["M", "B"]);
    let mut write: Vec<String> = [params, tokens]
        .into_iter()
        .zip(pair)
        .filter(|(_, letter)| !letter.is_empty())
        .map(|((field, column), letter)| format!("{field}={column}[{letter}]"))
        .collect();
    write.extend(strange.filter(|_| with_flops.is_none()).map(|(field, column)| format!("{field}={column}[1e18]")));
    let flops = strange.map_or_else(String::new, |(_, column)| format!(", and '{column}' as {excess:.2e} times 6ND"));
    Some(format!(
        "the median run was read as {n:.3e} parameters and {d:.3e} tokens, {ratio:.3e} tokens per parameter{flops}: units or \
         columns must be wrong. Say what they are, for instance --columns \"{}\"",
        write.join(",")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(params: f64, tokens: f64, flops: f64) -> Vec<Observation> {
        vec![Observation { flops, ..Observation::of(params, tokens, 3.0) }]
    }

    #[test]
    fn a_run_and_its_retry_are_told_and_seeds_are_not() {
        let of = |seed, loss| Observation { loss, seed, ..run(1e6, 1e7, 6e13)[0].clone() };
        assert_eq!(retries(&[of(Some(1), 3.0), of(Some(2), 3.1), of(None, 3.2), of(None, 3.3)]), None);
        let said = retries(&[of(Some(1), 3.0), of(Some(1), 3.03), of(Some(1), 3.0)]).unwrap();
        assert!(said.starts_with("1 row has the size, tokens and seed of another row"), "{said}");
    }

    #[test]
    fn units_that_must_be_wrong_are_told_with_what_to_write() {
        let said = |params, tokens, flops: Option<f64>| {
            let runs = run(params, tokens, flops.unwrap_or(6.0 * params * tokens));
            units(&runs, ("params", "N"), ("tokens", "D"), flops.map(|_| ("flops", "C")))
        };
        assert_eq!(said(7e7, 1.4e9, None), None);
        assert_eq!(said(17_520.0, 2_563_584.0, Some(3e11)), None);
        assert!(said(70.0, 1.4, None).unwrap().ends_with("\"params=N[M],tokens=D[B]\""));
        assert!(said(7e7, 1.4, None).unwrap().ends_with("\"tokens=D[B]\""));
        assert!(said(70.0, 1.4e9, None).unwrap().ends_with("\"params=N[M]\""));
        // By tokens alone these may be millions and billions; FLOPs tell.
        assert!(said(70.0, 1.4, Some(6.0 * 7e10 * 1.4e12)).unwrap().ends_with("\"params=N[B],tokens=D[T]\""));
        assert!(said(7e7, 1.4e9, Some(0.588)).unwrap().ends_with("\"flops=C[1e18]\""));
    }
}
