//! Sentences of docs/reproduction.md about the runs themselves: how many, how large, at what cost, and how far apart.

use std::collections::BTreeMap;

use super::prose::{between, number, shape};
use super::{Cell, Row, approach2, at, exponent, fits, law, optimum, rows};

fn runs(folder: &str) -> Vec<Row> {
    rows(&format!("results/{folder}/runs.csv"))
}

/// The least and the most.
pub fn span(values: impl IntoIterator<Item = f64>) -> [f64; 2] {
    values
        .into_iter()
        .fold([f64::INFINITY, f64::NEG_INFINITY], |[least, most], value| [least.min(value), most.max(value)])
}

fn column(runs: &[Row], name: &str) -> Vec<f64> {
    runs.iter().map(|run| number(run, name)).collect()
}

fn flops(runs: &[Row]) -> f64 {
    column(runs, "flops").iter().sum()
}

/// The runs of one budget.
fn at_budget(runs: &[Row], budget: f64) -> impl Iterator<Item = &Row> {
    runs.iter().filter(move |run| number(run, "flop_budget").total_cmp(&budget).is_eq())
}

/// How far a run is from another that differs in its seed alone, at one budget: the standard deviation of a run.
fn scatter(runs: &[Row], budget: f64) -> f64 {
    let mut points: BTreeMap<[&str; 3], Vec<f64>> = BTreeMap::new();
    for run in at_budget(runs, budget) {
        points.entry(shape(run)).or_default().push(number(run, "val_loss"));
    }
    let apart: Vec<f64> = points.values().filter(|of| of.len() == 2).map(|of| of[0] - of[1]).collect();
    (apart.iter().map(|x| x * x).sum::<f64>() / apart.len() as f64 / 2.0).sqrt()
}

/// What was run for the answer, and how far its curves rise.
fn flagship(page: &str) -> Vec<Cell> {
    let runs = runs("isoflop");
    let fits = fits("isoflop");
    let sizes = span(column(&runs, "params"));
    let [width, depth] = ["width", "depth"].map(|of| span(column(&runs, of)));
    let shapes = [sizes[0] / 1e3, sizes[1] / 1e6, width[0], width[1], depth[0], depth[1], 128.0];
    let hours = column(&runs, "seconds").iter().sum::<f64>() / 3600.0;
    let largest = column(&runs, "val_loss_se").into_iter().fold(0.0, f64::max);
    let mut rises = Vec::new();
    for budget in [1e12, 2.4e12, 5.6e12, 1.3e13, 3.1e13] {
        let least = optimum(approach2(&fits, "all"), budget, "loss")[0];
        let [first, last] = span(at_budget(&runs, budget).map(|run| number(run, "params")));
        for end in [first, last] {
            let of: Vec<f64> = at_budget(&runs, budget)
                .filter(|run| number(run, "params").total_cmp(&end).is_eq())
                .map(|run| number(run, "val_loss"))
                .collect();
            rises.push(of.iter().sum::<f64>() / of.len() as f64 - least);
        }
    }
    // What both embeddings are of the best model: all parameters less those of the blocks.
    let embeddings = |budget| {
        let [all, blocks] =
            ["all", "non_embedding"].map(|counting| optimum(approach2(&fits, counting), budget, "params")[0]);
        100.0 * (1.0 - blocks / all)
    };
    vec![
        Cell::new(between(page, "*Models*:", ", standard"), shapes.to_vec()),
        Cell::new(between(page, "one above. All", "runs finished"), vec![runs.len() as f64]),
        Cell::new(between(page, "with standard errors of at most", "nats. - *Models*"), vec![largest]),
        Cell::new(between(page, "*Cost*:", "slot-hours"), vec![flops(&runs), hours]),
        Cell::new(between(page, "The ends of the curves are", "nats above"), span(rises).to_vec()),
        Cell::new(
            between(page, "the two embedding matrices are", ". Leaving"),
            vec![embeddings(1e12), 1e12, embeddings(3.1e13), 3.1e13],
        ),
    ]
}

/// How many runs a sweep had, and its FLOPs.
fn costs(page: &str) -> Vec<Cell> {
    let count_and_flops = |folder: &str| {
        let runs = runs(folder);
        vec![runs.len() as f64, flops(&runs)]
    };
    let frontier = runs("isoflop").len() + runs("isoflop-up").len();
    let [up, further] = [1e14, 3e14].map(|budget| {
        let runs = runs("isoflop-up");
        at_budget(&runs, budget).map(|run| number(run, "flops")).sum::<f64>()
    });
    let cell = |from: &str, to: &str, numbers: Vec<f64>| Cell::new(between(page, from, to), numbers);
    vec![
        cell("in steps of two (weight decay: three),", "FLOPs, one seed", count_and_flops("why-15-tuning")),
        cell("tunes seven sizes at 1e13 FLOPs,", "FLOPs (", count_and_flops("tuned-1e13")),
        cell("One frontier over two and a half decades,", "runs", vec![frontier as f64]),
        cell("the same recipe and text, one seed,", "FLOPs (", vec![up]),
        cell("to 4.1M parameters, one seed,", "FLOPs, in the same", vec![further]),
        cell("[4](../results/kaplan-4-tuned),", "FLOPs each", vec![flops(&runs("kaplan-1-kaplan"))]),
        cell("nats per token:", "runs, 3e11", vec![runs("synthetic").len() as f64]),
    ]
}

/// How far the runs of other recipes and texts are from those of the answer.
fn beside(page: &str) -> Vec<Cell> {
    let flagship = runs("isoflop");
    let known: BTreeMap<([&str; 3], &str), f64> =
        flagship.iter().map(|run| ((shape(run), &run["seed"][..]), number(run, "val_loss"))).collect();
    let schedule = runs("why-15-schedule");
    let mut moved: Vec<(f64, f64, f64)> = at_budget(&schedule, 5.6e12)
        .map(|run| {
            let gap = number(run, "val_loss") - known[&(shape(run), &run["seed"][..])];
            (number(run, "params"), number(run, "tokens") / number(run, "params"), gap)
        })
        .collect();
    moved.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (smallest, largest) = (moved[0], moved[moved.len() - 1]);

    let [ours, first, context] = ["isoflop", "isoflop-first", "why-15-context"].map(fits);
    let least = |fits, budget| optimum(approach2(fits, "all"), budget, "loss")[0];
    let worse = span([1e12, 2.4e12, 5.6e12].map(|budget| least(&context, budget) - least(&ours, budget)));
    let sources = runs("isoflop-c");
    let scatters = [1e12, 2.4e12, 5.6e12, 1.3e13].map(|budget| scatter(&sources, budget));
    let (first_law, our_law) = (approach2(&first, "all"), approach2(&ours, "all"));
    let cell = |from: &str, to: &str, numbers: Vec<f64>| Cell::new(between(page, from, to), numbers);
    vec![
        cell("At 5.6e12 the smallest model, with", "higher, which", vec![smallest.1, -smallest.2, largest.2]),
        cell("the best model of each budget is", "nats worse", worse.to_vec()),
        cell(
            "at 1e13 FLOPs where this one gives",
            "nats higher at",
            vec![
                // The law of this one between its budgets.
                between_budgets(our_law, 1e13),
                exponent(first_law, "n_opt")[0],
                exponent(our_law, "n_opt")[0],
                least(&first, 1e12) - least(&ours, 1e12),
            ],
        ),
        cell("confirm it: seeds scatter by", "nats at the four budgets", scatters.to_vec()),
    ]
}

/// Tokens per parameter by a law at a budget between two, which are on one line in the logarithms.
fn between_budgets(fit: &serde_json::Value, budget: f64) -> f64 {
    let [(low, first), (high, last)] = [1e12, 3.1e13].map(|budget| (f64::ln(budget), law(fit, budget)[0].ln()));
    (first + (last - first) * (budget.ln() - low) / (high - low)).exp()
}

/// What each of Kaplan's steps does.
fn steps(page: &str) -> Vec<Cell> {
    let folders = ["kaplan-1-kaplan", "kaplan-2-warmup", "kaplan-3-decay", "kaplan-4-tuned"];
    let all = folders.map(fits);
    let [first, warm, decayed, tuned] = all.each_ref().map(|fits| approach2(fits, "blocks_and_unembedding"));
    let loss = |fit, budget| optimum(fit, budget, "loss")[0];
    let ratio = |fit: &serde_json::Value| at(&fit["tokens_per_param"], "flops", 3.6e12)["value"].as_f64().unwrap();
    let warmed = [4e11, 3.6e12].map(|budget| loss(first, budget) - loss(warm, budget));
    let cell = |from: &str, to: &str, numbers: Vec<f64>| Cell::new(between(page, from, to), numbers);
    vec![
        cell("hurts the small budgets (", ").", vec![warmed[0], 4e11, warmed[1], 3.6e12]),
        cell(
            "A decay that ends with the run gains",
            "tokens per parameter",
            vec![loss(warm, 3.6e12) - loss(decayed, 3.6e12), 3.6e12, ratio(warm), ratio(decayed)],
        ),
        cell("tokens per parameter. Tuning gains", ", because of", vec![loss(decayed, 4e11) - loss(tuned, 4e11), 4e11]),
        cell("moves the optimum back to", ".", vec![ratio(tuned)]),
    ]
}

/// What the README says of the runs of its figures.
pub fn readme(page: &str) -> Vec<Cell> {
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let flagship = runs("isoflop");
    let [sizes, budgets] = ["params", "flop_budget"].map(|of| span(column(&flagship, of)));
    let count = flagship.len() as f64;
    let hours = column(&flagship, "seconds").iter().sum::<f64>() / 3600.0 / 2.0;
    let widths = span(column(&runs("mup-transfer"), "width"));
    let cell = |from: &str, to: &str, numbers: &[f64]| Cell::new(between(&page, from, to), numbers.to_vec());
    vec![
        cell(
            "minimum is the best size for that budget.",
            "parameters on RFC text",
            &[count, sizes[0] / 1e3, sizes[1] / 1e6],
        ),
        cell("parameters on RFC text,", "FLOPs each", &budgets),
        cell("`sweeps/isoflop.toml`: the", "hours", &[count, hours]),
        cell("*Widths", "on RFC text", &widths),
    ]
}

pub fn sentences(page: &str) -> Vec<Cell> {
    [flagship(page), costs(page), beside(page), steps(page)].into_iter().flatten().collect()
}
