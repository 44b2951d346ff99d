//! What `runner fit` says of runs that the rest contradicts.

use super::finding;
use super::rows::Group;
use crate::cli::FitArgs;
use crate::fit::approaches::approach::Approach;
use crate::fit::approaches::approach2;
use crate::fit::approaches::outliers::{self, Outlier, Why};
use crate::fit::formula::{self, Data};
use crate::fit::laws::written::{self, Written};
use crate::fit::{Bootstrap, Status};
use crate::observation::{Counting, Observation};
use crate::units::{self, Loss, Params, Tokens};

/// Runs of one kind, and rows of a law, that are named before the rest is counted.
const MOST_NAMED: usize = 3;
/// Resamples that tell whether leaving runs out would help.
const RESAMPLES: usize = 200;

/// Finds them, leaves them out where that was asked for, and says so. They are none of the group's where they were left out.
pub(super) fn look(group: &mut Group<Observation>, args: &FitArgs) -> Vec<Outlier> {
    let found = outliers::find(&group.rows);
    if found.is_empty() {
        return found;
    }
    let of = group.name.as_ref().map_or_else(String::new, |name| format!(" of '{name}'"));
    let (count, all) = (found.len(), units::count(group.rows.len(), "run"));
    let told = told(&found);
    let stays = |(i, _): &(usize, &Observation)| found.iter().all(|outlier| outlier.index != *i);
    let kept: Vec<Observation> = group.rows.iter().enumerate().filter(stays).map(|(_, run)| run.clone()).collect();
    if kept.is_empty() {
        return Vec::new();
    }
    if args.exclude_outliers {
        tell!("note: {count} of {all}{of} contradict the others and take no part, as asked: {told}");
        group.rows = kept;
    } else {
        let help = if args.approach.asked().contains(&Approach::Parabolas) {
            would_help(&group.rows, &kept)
        } else {
            String::new()
        };
        tell!(
            "warning: {count} of {all}{of} contradict the others: {told}. The fits below take them as they are; \
             --exclude-outliers leaves them out{help}"
        );
    }
    found
}

/// What leaving them out does to the optima of budgets.
fn would_help(all: &[Observation], kept: &[Observation]) -> String {
    let optima = |runs: &[Observation]| {
        let fit = approach2::numbers(runs, Counting::All, &Bootstrap { resamples: RESAMPLES, seed: 0 });
        let found = fit.optima.iter().filter(|optimum| optimum.status == Status::Converged).count();
        (found, fit.optima.len())
    };
    let ((before, _), (after, budgets)) = (optima(all), optima(kept));
    if after > before {
        format!(", and approach 2 then finds the optimum of {after} of {budgets} budgets instead of {before}")
    } else {
        String::new()
    }
}

/// Each kind with its number and the first few runs.
fn told(found: &[Outlier]) -> String {
    let mut kinds: Vec<Why> = found.iter().map(|outlier| outlier.why).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let kind = |why: Why| {
        let of: Vec<&Outlier> = found.iter().filter(|outlier| outlier.why == why).collect();
        let span = |read: fn(&Outlier) -> f64| {
            let ends = of.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), o| (low.min(read(o)), high.max(read(o))));
            [ends.0, ends.1]
        };
        if why == Why::Stuck {
            let ([low, high], [small, large]) = (span(|o| o.loss), span(|o| o.params));
            return format!(
                "{} stay at a loss of {:.3} to {:.3} whatever their size, from {} to {} parameters",
                of.len(),
                Loss(low),
                Loss(high),
                Params(small),
                Params(large)
            );
        }
        let name = |o: &&Outlier| {
            let expected =
                o.expected.map_or_else(String::new, |loss| format!(" where the others say {:.3}", Loss(loss)));
            format!("{} on {} tokens, loss {:.3}{expected}", Params(o.params), Tokens(o.tokens), Loss(o.loss))
        };
        let named: Vec<String> = of.iter().take(MOST_NAMED).map(name).collect();
        let more = of.len().saturating_sub(MOST_NAMED);
        let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
        format!("{} {} ({}{rest})", of.len(), reason(why), named.join("; "))
    };
    kinds.into_iter().map(kind).collect::<Vec<_>>().join("; ")
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::Stuck => "stuck at one loss",
        Why::Dominated => "worse by a tenth or more than a run with no more parameters and tokens",
        Why::Flops => "with FLOPs that do not belong to their parameters and tokens: is a unit wrong?",
        Why::Tokens => "where a factor of a thousand or a million in tokens would fit: is the unit wrong?",
        Why::Params => "where a factor of a thousand or a million in parameters would fit: is the unit wrong?",
        Why::Bits => "whose loss would fit if it were in bits",
        Why::OffSurface => "far from what the others agree on",
    }
}

/// Names the rows that the others contradict. They are fitted like all.
pub(super) fn warn_of_contradicted(
    group: Option<&str>,
    law: &formula::Law,
    data: &Data,
    fit: &Written,
    options: &written::Options,
) {
    let found = written::contradicted(law, data, &fit.values, options);
    if found.is_empty() {
        return;
    }
    let name = |one: &written::Contradicted| {
        let columns = law.columns.iter().map(|name| format!("{name} {}", finding::number(data.columns[name][one.row])));
        let labels = law.indices.iter().filter_map(|index| {
            let grouping = data.groups.get(index)?;
            Some(format!("{index} {}", grouping.labels[grouping.of[one.row] as usize]))
        });
        let place = columns.chain(labels).collect::<Vec<_>>().join(", ");
        let (loss, expected) = (finding::number(data.loss[one.row]), finding::number(one.expected));
        format!("{place}: {} {loss} where the others say {expected}", law.target)
    };
    let named: Vec<String> = found.iter().take(MOST_NAMED).map(name).collect();
    let more = found.len().saturating_sub(MOST_NAMED);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    let of = group.map_or_else(String::new, |group| format!(" of '{group}'"));
    tell!(
        "warning: {} of {} rows{of} contradict the others: {}{rest}. The fit takes them as they are: take them out of the table \
         if they are no results, or let them count less with --objective huber",
        found.len(),
        data.len(),
        named.join("; ")
    );
}
