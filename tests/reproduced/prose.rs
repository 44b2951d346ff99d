//! Sentences of docs/reproduction.md whose numbers have no interval.

use std::collections::{BTreeMap, HashMap};

use super::{Cell, Row, approach2, fits, grids, law, optimum, rows, surfaces};

/// What stands between two pieces of a page, of which the first stands once.
pub fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    assert_eq!(page.matches(from).count(), 1, "{from}");
    let (_, rest) = page.split_once(from).unwrap();
    rest.split_once(to).unwrap_or_else(|| panic!("{to:?} is not behind {from:?}")).0
}

pub fn number(row: &Row, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|error| panic!("{column}: {error}"))
}

/// A run by its budget and shape.
pub fn shape(row: &Row) -> [&str; 3] {
    ["flop_budget", "width", "depth"].map(|column| &row[column][..])
}

/// The gap, the fall of the ratio, what counting does, and least losses.
fn of_fits(page: &str) -> Vec<Cell> {
    let isoflop = fits("isoflop");
    let [all, outer, blocks] =
        ["all", "blocks_and_unembedding", "non_embedding"].map(|counting| approach2(&isoflop, counting));
    let top = law(all, 3.1e13)[0];
    let falls = |fit| [law(fit, 1e12), law(fit, 3.1e13)[..1].to_vec()].concat();
    let ratio = |fit, budget| optimum(fit, budget, "tokens_per_param")[0] / optimum(all, budget, "tokens_per_param")[0];
    let counted = [ratio(blocks, 1e12), ratio(blocks, 5.6e12), ratio(outer, 1e12), ratio(outer, 5.6e12)];
    let losses = ["isoflop-c", "isoflop-docs", "isoflop"]
        .map(|folder| optimum(approach2(&fits(folder), "all"), 5.6e12, "loss")[0]);
    let cell = |from: &str, to: &str, numbers: &[f64]| Cell::new(between(page, from, to), numbers.to_vec());
    vec![
        cell("The gap is a factor of", "Four causes", &[20.0 / top]),
        cell("FLOPs the ratio falls from", "Counting blocks", &falls(all)),
        cell("Counting blocks and unembedding it falls from", "The budget", &falls(outer)),
        cell("blocks alone raise the number by a factor of", "more the smaller", &counted),
        cell("The least loss at 5.6e12 FLOPs is", "Learning rate and batch", &losses),
    ]
}

/// What tuning does to the exponents, and which weight decay is best.
fn of_tuning(page: &str) -> Vec<Cell> {
    let pairs = rows("results/tuned-pairs.csv");
    let find = |what: &str, kind: &str| pairs.iter().find(|row| row["what"] == what && row["kind"] == kind).unwrap();
    let told = |what: &str, from: &str, to: &str| {
        let less = find(what, "tuned_less_rules");
        let both = [find(what, "tuned"), find(what, "rules")].map(|row| number(row, "value"));
        // Words say the signs.
        let ends = ["value", "low", "high"].map(|end| number(less, end).abs());
        Cell::new(between(page, from, to), [both.to_vec(), ends.to_vec()].concat())
    };
    let mut best: BTreeMap<[String; 2], (f64, f64)> = BTreeMap::new();
    for run in [rows("results/why-15-tuning/runs.csv"), rows("results/tuned-1e13/runs.csv")].concat() {
        if run["status"] == "finished" {
            let point = ["flop_budget", "params"].map(|column| run[column].clone());
            let found = (number(&run, "val_loss"), number(&run, "axis.optimizer.weight_decay"));
            let least = best.entry(point).or_insert(found);
            if found.0 < least.0 {
                *least = found;
            }
        }
    }
    let count = |decay: f64| best.values().filter(|(_, found)| (found / decay - 1.0).abs() < 0.01).count() as f64;
    let third = 0.1 / 3.0;
    let decays = vec![0.1, count(0.1), best.len() as f64, third, count(third)];
    vec![
        told("n_opt_exponent", "that of N_opt is", "that of D_opt"),
        told("d_opt_exponent", "that of D_opt is", "So tuning"),
        Cell::new(between(page, "Weight decay is best at", "0.3 is never"), decays),
    ]
}

/// What two causes do over their budgets.
fn of_causes(page: &str) -> Vec<Cell> {
    let steps = rows("results/causes.csv");
    let ends = |cause: &str| {
        let factors = steps.iter().filter(|row| row["cause"] == cause).map(|row| number(row, "factor"));
        factors.fold([f64::INFINITY, 0.0], |[least, most], factor| [factor.min(least), factor.max(most)])
    };
    let lowered = ends("embedding").map(|factor| 100.0 * (1.0 - factor));
    let context = between(page, "*The context* raises it by a factor of", "With sequences");
    let embedding = between(page, "*The first scale of the embedding* lowers the ratio by", "with it");
    vec![Cell::new(context, ends("context").to_vec()), Cell::new(embedding, vec![lowered[1], lowered[0]])]
}

/// How far runs are apart: seeds, rules at 1e14 FLOPs, and what a search costs.
fn of_runs(page: &str) -> Vec<Cell> {
    let flagship = rows("results/isoflop/runs.csv");
    let mut points: BTreeMap<[&str; 3], Vec<f64>> = BTreeMap::new();
    for run in &flagship {
        points.entry(shape(run)).or_default().push(number(run, "val_loss"));
    }
    let apart: Vec<f64> = points.values().filter(|of| of.len() == 2).map(|of| (of[0] - of[1]).abs()).collect();
    let square: f64 = apart.iter().map(|x| x * x).sum();
    let scatter = (square / apart.len() as f64 / 2.0).sqrt();
    let most = apart.iter().copied().fold(0.0, f64::max);

    let up = rows("results/isoflop-up/runs.csv");
    let known: HashMap<[&str; 3], f64> = up.iter().map(|run| (shape(run), number(run, "val_loss"))).collect();
    let mut rules = rows("results/tuned-rules-1e14/runs.csv");
    rules.sort_by(|a, b| number(a, "params").total_cmp(&number(b, "params")));
    let moved = rules.iter().map(|run| (number(run, "val_loss") - known[&shape(run)]).abs()).collect();

    let [searched, plain] = ["completep-tuned", "completep"]
        .map(|name| rows(&format!("results/{name}/runs.csv")).iter().map(|run| number(run, "flops")).sum::<f64>());
    vec![
        Cell::new(between(page, "*Seeds*: from the", "twice the"), vec![apart.len() as f64, scatter]),
        Cell::new(between(page, "One pair differs by", "The ends"), vec![most]),
        Cell::new(between(page, "It is lower at the two smaller sizes, by", "That is what tuning"), moved),
        Cell::new(between(page, "Tuning takes", "times the FLOPs"), vec![searched / plain]),
    ]
}

/// All sentences that have a source.
pub fn sentences(page: &str) -> Vec<Cell> {
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let all = [of_fits, of_tuning, of_causes, of_runs, grids::sentences, surfaces::sentences];
    all.into_iter().flat_map(|sentences| sentences(&page)).collect()
}
