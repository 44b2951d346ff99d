//! Plans as estimates, and sweeps cut down to device hours.

use runner::observation::Counting;
use runner::plan::{self, CorpusFacts, Costs, Estimate, Machine, Plan, PlannedRun, TrimError, Trimmed};
use runner::spec::{self, Spec};

use crate::common::{Place, QUICKSTART, SMALL, assert_refused, edited, text};

const RATE: f64 = 1e10;
const MACHINE: Machine = Machine { devices: 1, cards: 1, slots: 2 };

/// Five budgets, eleven sizes and three seeds of the quickstart.
fn sweep() -> Spec {
    let set = ["sweep.budgets=[1e11,3e11,1e12,3e12,1e13]", "sweep.sizes=11", "sweep.seeds=[5,6,7]"];
    spec::parse(&edited(QUICKSTART, &set), "x.toml").unwrap()
}

fn expand(spec: &Spec) -> Result<Plan, plan::PlanError> {
    let facts = CorpusFacts {
        vocab: 256,
        train_tokens: None,
        validation_tokens: None,
        fingerprint: String::new(),
        inputs: None,
    };
    let points: Vec<_> = spec.points().unwrap().into_iter().map(|point| (point, facts.clone())).collect();
    plan::expand(&points)
}

fn hours(runs: &[&PlannedRun]) -> f64 {
    Estimate::of(runs.iter().copied(), MACHINE, |run| run.flops / RATE).device_hours
}

fn hours_of(spec: &Spec) -> f64 {
    hours(&expand(spec).unwrap().runs.iter().collect::<Vec<_>>())
}

fn trim(spec: &Spec, limit: f64) -> Result<Option<Trimmed>, TrimError> {
    plan::trim(spec, limit, &Costs { expand: &expand, hours: &hours })
}

#[test]
fn a_cut_fits_leaves_three_bracketed_budgets_and_is_what_its_overrides_say() {
    let whole = sweep();
    let all = hours_of(&whole);
    assert_eq!(trim(&whole, all).unwrap(), None, "what fits is left as it is");
    let mut last = f64::INFINITY;
    for share in [0.9, 0.7, 0.5, 0.34, 0.3, 0.25, 0.15, 0.1, 0.07, 0.05] {
        let limit = share * all;
        let trimmed = trim(&whole, limit).unwrap().unwrap_or_else(|| panic!("{share} of it does not fit"));
        let cost = hours_of(&trimmed.spec);
        assert!(cost <= limit && cost <= last, "{share}: {cost} of {limit}");
        last = cost;
        let sweep = trimmed.spec.sweep.as_ref().unwrap();
        assert!(sweep.budgets.as_ref().unwrap().len() >= 3 && sweep.sizes.unwrap() >= 7 && !sweep.seeds.is_empty());
        for budget in sweep.budgets.as_ref().unwrap() {
            let runs = trimmed.plan.runs.iter().filter(|run| run.run.flop_budget == Some(*budget));
            let (small, large): (Vec<_>, Vec<_>) = runs.partition(|run| run.tokens_per_param() > 20.0);
            assert!(small.len() >= 2 && large.len() >= 2, "{share}: {budget:e} is not bracketed");
        }
        let text = spec::edit(&whole.to_toml(), &trimmed.set).unwrap();
        assert_eq!(spec::parse(&text, "again").unwrap(), trimmed.spec);
        assert_eq!(trimmed.said.len(), trimmed.set.len());
    }
}

#[test]
fn seeds_go_before_sizes_and_sizes_before_budgets() {
    let whole = sweep();
    let cut = |share: f64| {
        let spec = trim(&whole, share * hours_of(&whole)).unwrap().unwrap().spec;
        let sweep = spec.sweep.unwrap();
        (sweep.seeds, sweep.sizes.unwrap(), sweep.budgets.unwrap().len())
    };
    assert_eq!(cut(0.7), (vec![5, 6], 11, 5));
    assert_eq!(cut(0.34), (vec![5], 11, 5));
    let (seeds, sizes, budgets) = cut(0.27);
    assert!(seeds == [5] && (7..11).contains(&sizes) && budgets == 5, "{sizes} sizes");
    // The largest budget costs most: without it there is room for all sizes again.
    let (_, sizes, budgets) = cut(0.15);
    assert!(budgets < 5 && sizes == 11, "{sizes} sizes of {budgets} budgets");
}

#[test]
fn of_the_sets_of_budgets_that_fit_the_one_with_the_widest_range_is_kept() {
    let mut whole = sweep();
    let sweep = whole.sweep.as_mut().unwrap();
    (sweep.seeds, sweep.sizes) = (vec![1], Some(7));
    // 1e13 and its neighbour do not fit both; the least three with it do.
    let keep = |budgets: &[f64]| {
        let mut spec = whole.clone();
        spec.sweep.as_mut().unwrap().budgets = Some(budgets.to_vec());
        hours_of(&spec)
    };
    let limit = 1.001 * keep(&[1e11, 3e11, 1e13]);
    assert!(limit < keep(&[1e11, 3e12, 1e13]));
    let kept = trim(&whole, limit).unwrap().unwrap().spec.sweep.unwrap().budgets.unwrap();
    assert!(kept.contains(&1e11) && kept.contains(&1e13), "{kept:?}");
}

#[test]
fn what_cannot_be_cut_is_refused_with_the_hours_that_it_takes() {
    let whole = sweep();
    let Err(TrimError::TooFew { hours, sizes: 7 }) = trim(&whole, 1e-6) else { panic!("three budgets take more") };
    assert!(trim(&whole, 1.001 * hours).unwrap().is_some(), "the hours that are asked for are enough");
    let axes = spec::parse(include_str!("../../sweeps/lr-grid.toml"), "x.toml").unwrap();
    assert!(matches!(trim(&axes, 1e-6), Err(TrimError::Axes { .. })));
    let single = spec::parse(SMALL, "x.toml").unwrap();
    assert!(matches!(trim(&single, 1e-6), Err(TrimError::OneRun { .. })));
}

#[test]
fn device_hours_count_all_devices_until_the_last_run_ends() {
    let plan = expand(&sweep()).unwrap();
    let seconds = |_: &PlannedRun| 3600.0;
    let runs = &plan.runs[..3];
    let of = |devices, slots| Estimate::of(runs, Machine { devices, cards: 1, slots }, seconds);
    assert_eq!([of(1, 1), of(2, 1), of(1, 2)].map(|e| e.device_hours.round() as u32), [3, 4, 2]);
    assert!((of(2, 1).busy - 0.75).abs() < 1e-12 && of(1, 1).flops > 0.0);
    let largest = runs.iter().map(|run| run.params.by(Counting::All)).max().unwrap() as f64;
    assert!(of(1, 1).checkpoints >= 24.0 * largest, "two checkpoints of weights and two moments");
}

#[test]
fn the_command_prints_hours_disk_and_money_and_writes_the_cut_spec_once() {
    let place = Place::with(QUICKSTART);
    let plan = |more: &[&str]| {
        let args = ["plan", "spec.toml", "--flops-per-second", "1e10", "--slots", "2", "--set", "sweep.seeds=[1,2,3]"];
        place.run(&[&args[..], more].concat())
    };
    let out = text(&plan(&["--price", "3"]).stdout);
    let after = |word: &str| out.lines().find_map(|line| line.split_once(word)).expect(word);
    let hours: f64 = after(" device hours on 1 device").0.parse().unwrap();
    let money: f64 = after("price: ").1.split(' ').next().unwrap().parse().unwrap();
    assert!((money / (3.0 * hours) - 1.0).abs() < 0.02, "{money} for {hours} hours");
    assert!(out.contains("disk: "));

    let cut = plan(&["--budget-hours", "0.25", "--out", "cut.toml"]);
    let said = text(&cut.stderr);
    assert!(said.contains("seeds: 1 of 3") && said.contains("--set 'sweep.seeds=[1]'"), "{said}");
    assert!(place.read("cut.toml").contains("seeds = [1] "));
    assert_refused(&plan(&["--budget-hours", "0.25", "--out", "cut.toml"]), &["cut.toml exists"]);
    for (flag, value) in [("--price", "0"), ("--price", "nan"), ("--budget-hours", "-1"), ("--device-count", "0")] {
        assert_refused(&plan(&[&format!("{flag}={value}")]), &[flag]);
    }
}
