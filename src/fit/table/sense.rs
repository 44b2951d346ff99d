//! Whether the numbers of a table can be what they are read as: parameters and tokens of models, and their FLOPs.

use std::collections::BTreeMap;

use super::number::{LETTERS, factor};
use crate::fit::numerics::averages::median;
use crate::observation::Observation;

/// Tokens per parameter that somebody may have trained on, at the median of a table.
const RATIO: std::ops::RangeInclusive<f64> = 0.1..=1e6;
/// Tokens per parameter that nobody trains a single run on.
const NEVER: f64 = 1e-3;
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

/// Pairs of runs of one size, length, seed and settings that ended with different losses, as a run and its retry do. `settings` are
/// those of each run.
pub(super) fn retries(runs: &[Observation], settings: &[&[String]]) -> Vec<[usize; 2]> {
    let mut first: BTreeMap<([u64; 3], &[String]), usize> = BTreeMap::new();
    let mut pairs = Vec::new();
    for (row, (run, settings)) in runs.iter().zip(settings).enumerate() {
        let Some(seed) = run.seed else { continue };
        let known = *first.entry(([run.params.to_bits(), run.tokens.to_bits(), seed], settings)).or_insert(row);
        if runs[known].loss.total_cmp(&run.loss).is_ne() {
            pairs.push([known, row]);
        }
    }
    pairs
}

/// A warning of so many of these, whose rows all differ in some columns.
pub(super) fn told(count: usize, apart: &[String]) -> String {
    let rows = if count == 1 { "row has" } else { "rows have" };
    let apart = match apart {
        [] => "where they differ in a setting, tell them apart by its column (--by)".to_owned(),
        [first, ..] => {
            let all: Vec<String> = apart.iter().map(|name| format!("'{name}'")).collect();
            let each = if count == 1 { "the two differ" } else { "the two of each pair differ" };
            format!("{each} in {}, which --by {} fits apart", all.join(" and "), crate::shell::quoted(first))
        }
    };
    format!(
        "{count} {rows} the size, tokens and seed of another row, and another loss: where one is a retry of the other, leave the other out; {apart}"
    )
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
        return two_units(runs, params, tokens);
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

/// A warning where some runs have next to no tokens, while the median has as many as runs have.
fn two_units(runs: &[Observation], params: Named<'_>, tokens: Named<'_>) -> Option<String> {
    let few: Vec<&Observation> = runs.iter().filter(|run| run.tokens < NEVER * run.params).collect();
    let Observation { params: n, tokens: d, .. } = few.iter().min_by(|a, b| a.tokens.total_cmp(&b.tokens))?;
    Some(format!(
        "{} of {} runs were read with less than a token for {} parameters, down to {d:.3e} tokens for {n:.3e} parameters: '{}' or '{}' has \
         two units. Bring its numbers to one, or take these rows out: no fit below is to be believed",
        few.len(),
        runs.len(),
        1.0 / NEVER,
        tokens.1,
        params.1,
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
        let same = |count| vec![&[][..]; count];
        assert!(retries(&[of(Some(1), 3.0), of(Some(2), 3.1), of(None, 3.2), of(None, 3.3)], &same(4)).is_empty());
        let runs = [of(Some(1), 3.0), of(Some(1), 3.03), of(Some(1), 3.0)];
        assert_eq!(retries(&runs, &same(3)), [[0, 1]]);
        let [one, other] = ["6e-4", "3e-4"].map(|rate| [rate.to_owned()]);
        assert!(retries(&runs, &[&one, &other, &one]).is_empty(), "another rate is no retry");
        let said = told(1, &["exp".to_owned()]);
        assert!(
            said.starts_with("1 row has the size, tokens and seed of another row")
                && said.ends_with("differ in 'exp', which --by exp fits apart"),
            "{said}"
        );
    }

    #[test]
    fn units_that_must_be_wrong_are_told_with_what_to_write() {
        let said = |params, tokens, flops: Option<f64>| {
            let runs = run(params, tokens, flops.unwrap_or(6.0 * params * tokens));
            units(&runs, ("params", "N"), ("tokens", "D"), flops.map(|_| ("flops", "C")))
        };
        assert_eq!(said(7e7, 1.4e9, None), None);
        assert_eq!(said(17_520.0, 2_563_584.0, Some(3e11)), None);
        let mixed: Vec<Observation> = [1.4e9, 2.8e9, 5.6, 1.1e10].iter().flat_map(|d| run(7e7, *d, 42e7 * d)).collect();
        let told = units(&mixed, ("params", "N"), ("tokens", "D"), None).unwrap();
        assert!(
            told.starts_with("1 of 4 runs were read with less than a token for 1000 parameters")
                && told.contains("'D'"),
            "{told}"
        );
        assert!(said(70.0, 1.4, None).unwrap().ends_with("\"params=N[M],tokens=D[B]\""));
        assert!(said(7e7, 1.4, None).unwrap().ends_with("\"tokens=D[B]\""));
        assert!(said(70.0, 1.4e9, None).unwrap().ends_with("\"params=N[M]\""));
        // By tokens alone these may be millions and billions; FLOPs tell.
        assert!(said(70.0, 1.4, Some(6.0 * 7e10 * 1.4e12)).unwrap().ends_with("\"params=N[B],tokens=D[T]\""));
        assert!(said(7e7, 1.4e9, Some(0.588)).unwrap().ends_with("\"flops=C[1e18]\""));
    }
}
