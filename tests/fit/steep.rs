//! Curves whose ends are steep or stuck, and runs that the rest of a table contradicts.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::surface::{CHINCHILLA, Runs as _, noisy, normal};
use runner::fit::approaches::approach2::{Approach2, fit};
use runner::fit::approaches::outliers::{Why, find};
use runner::fit::{Bootstrap, Status};
use runner::observation::{Counting, Observation};

const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 400, seed: 0 };
/// Planted curves of each kind.
const CURVES: u64 = 200;

fn fit_all(runs: &[Observation]) -> Approach2 {
    fit(runs, Counting::All, &BOOTSTRAP)
}

/// Runs of one budget by parameters in millions and loss.
fn curve(budget: f64, points: &[(f64, f64)]) -> Vec<Observation> {
    points.iter().map(|&(millions, loss)| Observation { loss, ..CHINCHILLA.run(budget, 1e6 * millions) }).collect()
}

/// Seven sizes of 6e15 FLOPs of a public grid, at one learning rate for all.
const PUBLIC: [(f64, f64); 7] =
    [(3.2, 0.9810), (6.3, 0.9463), (10.8, 0.9376), (17.1, 0.9199), (25.4, 0.9278), (36.1, 0.9746), (49.5, 1.1794)];

#[test]
fn a_curve_with_one_steep_end_has_the_minimum_that_any_eye_sees() {
    let fit = fit_all(&curve(6e15, &PUBLIC));
    let optimum = &fit.optima[0];
    assert_eq!((optimum.status, optimum.points), (Status::Converged, 7), "{}", fit.conclusion);
    let params = optimum.params.unwrap();
    assert!((params.value / 17e6).ln().abs() < 0.1, "{params:?}");
    assert!(params.low > 10e6 && params.high < 25e6 && params.holds(17.1e6), "{params:?}");
    assert!(fit.conclusion.contains("steep end at 6e15"), "{}", fit.conclusion);
    let mut mirrored = curve(6e15, &PUBLIC);
    mirrored.reverse();
    assert_eq!(fit, fit_all(&mirrored), "the order of rows does not count");
}

#[test]
fn smooth_curves_have_no_steep_end_however_wide_and_noise_makes_hardly_any() {
    for spread in [2.0, 4.0, 8.0, 16.0] {
        for sizes in [5, 6, 7, 9, 15] {
            let fit = fit_all(&CHINCHILLA.grid(&[1e17, 1e19, 1e21], sizes, spread));
            assert!(fit.optima.iter().all(|o| o.steep.is_none()), "{sizes} sizes, {spread}");
        }
    }
    let budgets: Vec<f64> = (0..200).map(|k| 1e17 * 1.1_f64.powi(k)).collect();
    for (sizes, sd) in [(6, 0.005), (7, 0.005), (9, 0.005), (7, 0.02)] {
        let bootstrap = Bootstrap { resamples: 1, seed: 0 };
        let fit = fit(&noisy(CHINCHILLA.grid(&budgets, sizes, 4.0), sd, 11), Counting::All, &bootstrap);
        let steep = fit.optima.iter().filter(|o| o.steep.is_some()).count();
        println!("{sizes} sizes, noise {sd}: {steep} of 200 curves look steep");
        assert!(steep <= 4, "{steep} of 200");
    }
}

/// What is planted on a smooth curve.
type Plant = fn(&mut [Observation]);
const NONE: Plant = |_| {};
const STEEP: Plant = |runs| runs[runs.len() - 1].loss += 0.3;
const TWO_STEEP: Plant = |runs| {
    let last = runs.len() - 1;
    runs[last - 1].loss += 0.06;
    runs[last].loss += 0.4;
};
const STUCK: Plant = |runs| {
    let last = runs.len() - 1;
    runs[last - 1].loss = 7.31;
    runs[last].loss = 7.3;
};
const BOTH: Plant = |runs| {
    runs[0].loss += 0.25;
    runs[runs.len() - 1].loss = 7.3;
};

/// Of the planted curves: how many have an optimum, how many of these an interval that holds the true one, and the mean
/// error of log10 `N_opt`.
fn planted(sizes: usize, plant: Plant, sd: f64) -> (u32, u32, f64) {
    let (mut found, mut held, mut error) = (0, 0, 0.0);
    for seed in 0..CURVES {
        // Grids whose middle is up to a fifth of a decade off the optimum.
        let off = 10_f64.powf(0.15 * normal(&mut ChaCha8Rng::seed_from_u64(7000 + seed)).clamp(-1.0, 1.0));
        let budget = 1e19;
        let truth = CHINCHILLA.n_opt(budget);
        let grid = CHINCHILLA.grid(&[budget], sizes, 4.0);
        let grid: Vec<Observation> = grid.iter().map(|run| CHINCHILLA.run(budget, run.params * off)).collect();
        let mut runs = noisy(grid, sd, seed);
        plant(&mut runs);
        let optimum = &fit(&runs, Counting::All, &Bootstrap { resamples: 200, seed }).optima[0];
        if let Some(params) = optimum.params {
            found += 1;
            held += u32::from(params.holds(truth));
            error += (params.value / truth).log10();
        }
    }
    (found, held, error / f64::from(found.max(1)))
}

#[test]
fn optima_of_planted_steep_and_stuck_ends_are_near_the_truth_and_covered() {
    for (name, plant) in [("none", NONE), ("steep", STEEP), ("two steep", TWO_STEEP), ("stuck", STUCK), ("both", BOTH)]
    {
        for sizes in [7, 9] {
            let (found, held, bias) = planted(sizes, plant, 0.005);
            let share = f64::from(held) / f64::from(found);
            assert!(found >= 70 && share >= 0.85 && bias.abs() < 0.05, "{name}: {found}, {share}, {bias}");
            println!("{name}, {sizes} sizes: {found} of {CURVES} found, {share:.3} covered, bias {bias:+.4} decades");
        }
    }
}

/// A grid of six budgets and ten sizes whose losses are of a steeper surface, of which those above
/// `stuck` times the optimum never left 3.07 nats.
fn public_grid(stuck: f64) -> Vec<Observation> {
    let surface = super::surface::Surface { e: 0.7, a: 60.0, b: 1500.0, alpha: 0.35, beta: 0.4 };
    let budgets = [1e15, 2e15, 4e15, 6e15, 1e16, 3e16];
    let mut runs = noisy(surface.grid(&budgets, 10, 8.0), 0.004, 21);
    for (i, run) in runs.iter_mut().enumerate() {
        if run.params > stuck * surface.n_opt(run.flops) {
            run.loss = 3.06 + 0.02 * ((i * 7 % 10) as f64) / 10.0;
        }
    }
    runs
}

#[test]
fn stuck_runs_are_all_named_and_the_rest_has_optima_without_them() {
    let clean = public_grid(f64::INFINITY);
    assert_eq!(find(&clean), []);
    let runs = public_grid(1.3);
    let stuck = runs.iter().filter(|run| run.loss > 3.0).count();
    assert!((20..=35).contains(&stuck), "{stuck} of {}", runs.len());
    let found = find(&runs);
    assert!(found.iter().all(|outlier| outlier.why == Why::Stuck && outlier.loss > 3.0), "{found:?}");
    assert_eq!(found.len(), stuck);
    let rest: Vec<_> = runs.iter().filter(|run| run.loss < 3.0).cloned().collect();
    let converged = |runs: &[_]| fit_all(runs).optima.iter().filter(|o| o.status == Status::Converged).count();
    assert!(converged(&runs) < converged(&rest));
}

#[test]
fn a_diverged_run_and_slips_of_units_are_named_for_what_they_are() {
    let grid = noisy(CHINCHILLA.grid(&[1e17, 1e18, 1e19, 1e20], 9, 4.0), 0.004, 3);
    let why = |edit: &dyn Fn(&mut Observation)| {
        let mut runs = grid.clone();
        edit(&mut runs[22]);
        let found = find(&runs);
        assert!(found.len() <= 1 && found.iter().all(|outlier| outlier.index == 22), "{found:?}");
        found.first().map(|outlier| outlier.why)
    };
    assert_eq!(why(&|_| {}), None);
    assert_eq!(why(&|run| run.loss *= 1.02), None, "two percent is a bad seed");
    assert_eq!(why(&|run| run.loss *= 1.6), Some(Why::Dominated));
    assert_eq!(why(&|run| run.tokens /= 1e3), Some(Why::Flops));
    assert_eq!(why(&|run| run.params *= 1e3), Some(Why::Flops));
    assert_eq!(why(&|run| run.loss /= 2.0), Some(Why::OffSurface));
    // Where FLOPs follow from the tokens, they slip with them.
    let with_flops = |factor: f64| {
        move |run: &mut Observation| {
            run.tokens *= factor;
            run.flops *= factor;
        }
    };
    assert_eq!(why(&with_flops(1e-3)), Some(Why::Tokens));
}

#[test]
fn the_runs_that_besiroglu_et_al_left_out_are_found_and_nobody_else_is_accused() {
    let Some(kept) = super::shared::epoch_240() else { return };
    assert_eq!(find(&kept), []);
    let Some(rows) = super::shared::columns("epoch_chinchilla_245.csv", ["Model Size", "Training FLOP", "loss"]) else {
        return;
    };
    let run = |[params, flops, loss]: &[String; 3]| {
        let [params, flops, loss] = [params, flops, loss].map(|cell| cell.parse::<f64>().unwrap());
        Observation { loss, flop_budget: None, ..CHINCHILLA.run(flops, params) }
    };
    let all: Vec<Observation> = rows.iter().map(run).collect();
    let mut losses: Vec<f64> = all.iter().map(|run| run.loss).collect();
    losses.sort_by(f64::total_cmp);
    let found = find(&all);
    assert!(found.len() >= 3 && found.iter().all(|outlier| outlier.loss >= losses[240]), "{found:?}");
}

/// A table as `runner fit` reads it.
fn table(runs: &[Observation]) -> String {
    let row = |run: &Observation| {
        format!("{},{},{},{}\n", run.params, run.tokens, run.flop_budget.unwrap_or(run.flops), run.loss)
    };
    "params,tokens,flop_budget,val_loss\n".to_owned() + &runs.iter().map(row).collect::<String>()
}

#[test]
fn the_command_names_what_contradicts_the_rest_and_leaves_it_out_when_asked() {
    let place = crate::common::Place::new();
    let runs = public_grid(1.3);
    let stuck = runs.iter().filter(|run| run.loss > 3.0).count();
    place.write("runs.csv", table(&runs));
    let output = place.run(&["fit", "runs.csv", "--approach", "2", "--bootstrap", "200"]);
    let said = crate::common::text(&output.stderr);
    let words = format!("warning: {stuck} of 60 runs contradict the others: {stuck} stay at a loss of 3.06");
    assert!(
        said.contains(&words) && said.contains("--exclude-outliers leaves them out, and approach 2 then"),
        "{said}"
    );
    let output =
        place.run(&["fit", "runs.csv", "--approach", "2", "--bootstrap", "200", "--exclude-outliers", "--json"]);
    let said = crate::common::text(&output.stderr);
    assert!(said.contains(&format!("note: {stuck} of 60 runs")) && said.contains("take no part, as asked"), "{said}");
    let fit: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(fit["outliers"].as_array().unwrap().len(), stuck);
    assert_eq!((&fit["outliers"][0]["why"], fit["points"].as_u64()), (&"stuck".into(), Some(60 - stuck as u64)));
}

#[test]
fn an_interval_that_a_wide_grid_makes_too_narrow_is_not_left_alone() {
    let place = crate::common::Place::new();
    let said = |spread: f64| {
        let budgets = [1e18, 3e18, 1e19, 3e19, 1e20, 3e20];
        place.write("runs.csv", table(&noisy(CHINCHILLA.grid(&budgets, 9, spread), 0.002, 5)));
        place.says(&["fit", "runs.csv", "--bootstrap", "200"]).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let wide = said(16.0);
    let headline = wide.find("Headline: ").unwrap();
    let beware = wide.find("Beware: if the VPNLS surface is right, parabolas on so wide a grid err by -1").unwrap();
    assert!(headline < beware && beware < wide.find("How sure").unwrap(), "{wide}");
    assert!(!said(2.0).contains("Beware"));
}

#[test]
fn the_command_says_how_sure_it_is_and_ranks_what_was_predicted() {
    let place = crate::common::Place::new();
    place.write("runs.csv", table(&noisy(CHINCHILLA.grid(&[1e17, 1e18, 1e19, 1e20], 7, 4.0), 0.003, 5)));
    let said = place.says(&["fit", "runs.csv", "--bootstrap", "200", "--wide"]);
    for words in ["How sure: at 1e20 FLOPs", "One more seed", "one more budget, 1e21 FLOPs", "error of N_opt", "rank"] {
        assert!(said.contains(words), "{words} is not in {said}");
    }
    assert!(said.contains("the best: "), "{said}");
    let printed = place.says(&["fit", "runs.csv", "--bootstrap", "200", "--json"]);
    let fits: Vec<serde_json::Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ranks: Vec<u64> = fits.iter().filter_map(|fit| fit["forecast"]["rank"].as_u64()).collect();
    assert!(ranks.contains(&1) && ranks.len() >= 3, "{ranks:?}");
    for fit in fits.iter().filter(|fit| fit["approach"] != "1") {
        let regret = fit["forecast"]["regret"].as_f64().unwrap();
        assert!((-1e-9..0.01).contains(&regret), "{fit}");
    }
    let sure = &fits[1]["sure"];
    let number = |key: &str| sure[key].as_f64().unwrap();
    assert!(number("width") > number("one_more_seed") && number("one_more_budget") > 1.0, "{sure}");
    let shares: f64 = sure["shares"].as_array().unwrap().iter().map(|share| share["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-9);
}

#[test]
fn a_table_without_shared_budgets_or_with_a_column_nearly_named_says_what_is_missing() {
    let place = crate::common::Place::new();
    let mut runs = noisy(CHINCHILLA.grid(&[1e18], 12, 4.0), 0.003, 5);
    for (i, run) in runs.iter_mut().enumerate() {
        run.flop_budget = Some(1e18 * 1.5_f64.powf(i as f64));
    }
    place.write("runs.csv", table(&runs).replace("flop_budget", "flops"));
    let said = place.says(&["fit", "runs.csv", "--approach", "2"]);
    assert!(said.contains("No two of the 12 runs share a budget"), "{said}");
    place.write("named.csv", table(&runs).replace("val_loss", "vall_loss"));
    let refused = place.refusal(&["fit", "named.csv", "--columns", "loss=val_los"]);
    let words = "there is no column 'val_los', which --columns takes for val_loss";
    assert!(refused.contains(words) && refused.contains("of which 'vall_loss' is close"), "{refused}");
}

#[test]
fn a_constant_at_its_bound_has_no_interval_of_no_width() {
    let floorless = super::surface::Surface { e: 0.0, a: 400.0, b: 600.0, alpha: 0.3, beta: 0.3 };
    let runs = noisy(floorless.grid(&[1e17, 1e18, 1e19, 1e20], 7, 4.0), 1e-4, 5);
    let lower: Vec<Observation> = runs.into_iter().map(|run| Observation { loss: run.loss - 0.004, ..run }).collect();
    let fit = runner::fit::approaches::vpnls::fit(&lower, Counting::All, &BOOTSTRAP);
    let summary = runner::fit::approaches::summary::Summary::from(&fit);
    assert_eq!((fit.status, summary.at_bound.as_slice()), (Status::BoundHit, ["E".to_owned()].as_slice()), "{fit:?}");
    match summary.intervals.get("E") {
        None => {}
        Some([low, high]) => assert!(*low == 0.0 && *high > 0.0, "{low} {high}"),
    }
    assert!(summary.intervals.values().all(|[low, high]| high > low));
}

#[test]
fn no_curve_of_the_committed_results_has_a_steep_end_so_that_none_is_fitted_otherwise() {
    let results = crate::common::repository().join("results");
    let mut looked = 0;
    for dir in std::fs::read_dir(results).unwrap() {
        let runs = dir.unwrap().path().join("runs.csv");
        let read = runner::fit::table::read(
            &runs,
            &runner::fit::table::Columns::default(),
            &runner::fit::table::Options::default(),
        );
        let Ok(table) = read else { continue };
        for counting in Counting::ALL {
            let fit = fit(&table.rows, counting, &Bootstrap { resamples: 1, seed: 0 });
            assert!(fit.optima.iter().all(|optimum| optimum.steep.is_none()), "{}", runs.display());
            looked += fit.optima.len();
        }
    }
    assert!(looked > 60, "{looked}");
}
