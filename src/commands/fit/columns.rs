//! What columns mean to some laws: shares that add up, and the sizes of models with experts.

use super::request::Request;
use crate::columns::axis;
use crate::fit::formula::Formula;
use crate::fit::laws::forms::{self, mixtures};
use crate::fit::laws::written::ranking::Candidate;
use crate::fit::table::Columns;
use crate::fit::table::named::{self, Read, Wanted};

/// Whether the shares of a table add up to the same in every row, as they do where nothing tells otherwise.
pub(super) fn add_up(request: &Request, target: &str, headers: &[String]) -> bool {
    let names = mixtures::shares(headers);
    let wanted = Wanted { target: target.to_owned(), names: names.clone(), whole: true, ..Wanted::default() };
    // What is wrong with the table is told where the law reads it.
    let Ok(read) = named::read(&request.args.runs, &request.columns, &wanted, &request.table) else { return true };
    let place = |name: &String| read.found.iter().position(|found| found == name);
    let column = |at: usize| read.table.rows.iter().map(|row| row.numbers[at]).collect::<Vec<f64>>();
    let shares: Vec<Vec<f64>> = names.iter().filter_map(place).map(column).collect();
    mixtures::total(&shares).is_some()
}

/// Which share a law of mixtures does not use.
pub(super) fn left_out(request: &Request, law: &Formula) -> Option<String> {
    let shares = mixtures::shares(&named::headers(&request.args.runs).ok()?);
    let share = shares.iter().find(|share| !law.names.used.iter().any(|(used, _)| used == *share))?;
    Some(format!(
        "the shares of every row add up to the same, so that {share} tells nothing that the others do not: it is left out, and \
         what the law says of the others is against it"
    ))
}

/// The field that says how many experts a run has, and the column of the parameters that each token goes through.
const EXPERTS: &str = "model.experts.count";
const ACTIVE: &str = "params_active";

/// Takes the columns of a table of this program that the laws of experts want, and says so. Their N is that of the dense model.
pub(super) fn of_dense_models(headers: &[String], columns: &mut Columns) -> Vec<String> {
    let has = |name: &str| headers.iter().any(|header| header == name);
    let mut notes = Vec::new();
    let counts = [axis(EXPERTS), EXPERTS.to_owned()];
    if let Some(count) = counts.iter().find(|name| has(name) && !has("experts") && !columns.renames("experts")) {
        columns.name("experts", count);
        notes.push(format!("experts is the column {count}"));
    }
    if has(ACTIVE) && !has("N") && !columns.renames("N") {
        columns.name("N", ACTIVE);
        notes.push(format!(
            "N of this law counts the dense model that each token goes through, not all experts, so it is the column {ACTIVE}; \
             --columns N=COLUMN takes another"
        ));
    }
    notes
}

/// Routers add up to this factor to the models that have them.
const ROUTERS: f64 = 1.02;

/// A warning where N of a law of experts seems to count all of them: then no size has runs of two numbers of experts.
pub(super) fn mixed_sizes(laws: &[Candidate], read: &Read) -> Option<String> {
    laws.iter().find(|one| forms::named(&one.name).is_some_and(|form| form.columns.contains(&"experts")))?;
    let place = |name: &str| read.found.iter().position(|found| found == name);
    let (size, experts) = (place("N")?, place("experts")?);
    let mut pairs: Vec<[f64; 2]> =
        read.table.rows.iter().map(|row| [row.numbers[size], row.numbers[experts]]).collect();
    pairs.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    pairs.dedup();
    let differ = pairs.iter().any(|pair| (pair[1] - pairs[0][1]).abs() > 0.0);
    let shared = pairs.windows(2).any(|two| two[1][0] <= ROUTERS * two[0][0] && (two[1][1] - two[0][1]).abs() > 0.0);
    (differ && !shared).then(|| {
        "no size N has runs with different numbers of experts. N of this law is the parameters of the dense model, or those that \
         each token goes through, and not the total: --columns N=COLUMN says which column tells them"
            .to_owned()
    })
}
