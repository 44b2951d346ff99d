//! Plans: the grid of the quickstart, budgets met, rules followed, and what is left out.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use runner::observation::Counting;
use runner::parameterization::Parameterization;
use runner::plan::{self, CorpusFacts, Plan, PlannedRun};
use runner::spec::{self, At, PowerRule, ScheduleKind, Spec};

use crate::common::{Place, QUICKSTART, SMALL, assert_refused};

fn quickstart() -> Spec {
    spec::parse(QUICKSTART, "quickstart.toml").unwrap()
}

fn single() -> Spec {
    spec::parse(SMALL, "small.toml").unwrap()
}

fn unlimited() -> CorpusFacts {
    CorpusFacts {
        vocab: 512,
        train_tokens: None,
        validation_tokens: None,
        fingerprint: "language".to_owned(),
        inputs: None,
    }
}

fn plan_with(spec: &Spec, facts: &CorpusFacts) -> Plan {
    let points: Vec<_> = spec.points().unwrap().into_iter().map(|point| (point, facts.clone())).collect();
    plan::expand(&points).unwrap()
}

/// The plan on unlimited text of the vocabulary that the spec names.
fn planned(spec: &Spec) -> Plan {
    let vocab = spec.data.vocab.map_or(512, |vocab| vocab as usize);
    plan_with(spec, &CorpusFacts { vocab, ..unlimited() })
}

fn size(planned: &PlannedRun) -> f64 {
    planned.params.by(Counting::BlocksAndUnembedding) as f64
}

#[test]
fn the_quickstart_plans_three_curves_of_seven_sizes() {
    let plan = planned(&quickstart());
    let line = |p: &PlannedRun| {
        let (run, off) = (&p.run, 100.0 * p.budget_deviation().unwrap());
        format!(
            "{:.1e}  {:2}x{}  {:6.0} params  {:7} tokens  {:4} steps  {:3} warm-up  lr {:.4}  {off:+.2}%",
            run.flop_budget.unwrap(),
            run.shape.width,
            run.shape.depth,
            size(p),
            p.tokens,
            run.schedule.steps,
            run.schedule.warmup_steps,
            run.optimizer.learning_rate,
        )
    };
    assert_eq!(plan.left_out, []);
    insta::assert_snapshot!("quickstart", plan.runs.iter().map(line).collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_quickstart_fits_into_five_minutes_at_6e10_flops_per_second() {
    let plan = planned(&quickstart());
    let evaluation = |p: &PlannedRun| p.run.eval.tokens as f64 * p.flops_per_token.exact / 3.0;
    let total: f64 = plan.runs.iter().map(|p| p.flops + evaluation(p)).sum();
    assert!(total < 5.0 * 60.0 * 6e10, "{total:e}");
}

#[test]
fn a_plan_and_its_identities_do_not_change_from_call_to_call_nor_with_names_and_places() {
    let mut spec = spec::parse(include_str!("../sweeps/isoflop.toml"), "isoflop.toml").unwrap();
    let plan = planned(&spec);
    assert_eq!(plan, planned(&spec));
    let ids: BTreeSet<_> = plan.runs.iter().map(|p| p.id.clone()).collect();
    assert_eq!(ids.len(), plan.runs.len());
    spec.name = "renamed".to_owned();
    spec.data.path = Some("elsewhere/rfc.txt".into());
    let moved = planned(&spec);
    assert!(moved.runs.iter().map(|p| &p.id).eq(plan.runs.iter().map(|p| &p.id)));
    let other_text = CorpusFacts { fingerprint: "other".to_owned(), ..unlimited() };
    assert!(plan_with(&spec, &other_text).runs.iter().all(|p| !ids.contains(&p.id)));
}

#[test]
fn seeds_multiply_every_point_and_differ_in_nothing_else() {
    let mut spec = quickstart();
    let once = planned(&spec);
    spec.sweep.as_mut().unwrap().seeds = vec![1, 7];
    let twice = planned(&spec);
    assert_eq!(twice.runs.len(), 2 * once.runs.len());
    for (pair, alone) in twice.runs.chunks(2).zip(&once.runs) {
        assert_eq!(&pair[0], alone);
        assert_eq!(pair[1].run, plan::Run { seed: 7, ..alone.run.clone() });
        assert_ne!(pair[1].id, alone.id);
    }
}

#[test]
fn a_single_run_takes_the_seed_of_its_data_and_the_length_that_is_written() {
    let mut spec = single();
    spec.data.seed = 5;
    let by_flops = planned(&spec);
    assert_eq!((by_flops.runs.len(), by_flops.runs[0].run.seed), (1, 5));
    assert_eq!(by_flops.runs[0].run.flop_budget, spec.schedule.flops);

    (spec.schedule.flops, spec.schedule.tokens) = (None, Some(1e6));
    let by_tokens = &planned(&spec).runs[0];
    assert_eq!((by_tokens.run.schedule.steps, by_tokens.tokens), (977, 977 * 1024));
    assert_eq!(by_tokens.run.flop_budget, None);

    (spec.schedule.tokens, spec.schedule.tokens_per_param) = (None, Some(20.0));
    let by_ratio = &planned(&spec).runs[0];
    assert!((by_ratio.tokens_per_param() - 20.0).abs() < 0.01);
}

#[test]
fn sizes_that_are_listed_are_trained_at_a_ratio_without_budgets() {
    let mut spec = quickstart();
    let sweep = spec.sweep.as_mut().unwrap();
    (sweep.budgets, sweep.sizes, sweep.spread, sweep.expected_tokens_per_param) = (None, None, None, None);
    sweep.params = Some(vec![3e5, 3e4, 1e5]);
    spec.schedule.tokens_per_param = Some(10.0);
    let plan = planned(&spec);
    let sizes: Vec<f64> = plan.runs.iter().map(size).collect();
    assert_eq!(sizes.len(), 3);
    for (size, asked) in sizes.iter().zip([3e4, 1e5, 3e5]) {
        assert!((size / asked).ln().abs() < 0.2, "{size} for {asked}");
    }
    assert!(plan.runs.iter().all(|p| (p.tokens_per_param() / 10.0 - 1.0).abs() < 0.01));
}

#[test]
fn a_base_shape_is_kept_where_the_parameterization_reads_it_and_is_the_runs_own_elsewhere() {
    let mut spec = quickstart();
    (spec.model.base_width, spec.model.base_head_dim, spec.model.base_depth) = (Some(32), Some(16), Some(7));
    let mut bases = |parameterization| {
        spec.model.parameterization = parameterization;
        let runs = planned(&spec).runs.into_iter().map(|p| p.run);
        runs.map(|run| [run.base_width, run.base_head_dim, run.base_depth, run.shape.width, run.shape.depth])
            .collect::<Vec<_>>()
    };
    let head_dim = 8;
    let standard = bases(Parameterization::Standard);
    assert!(standard.iter().all(|[w, h, d, width, depth]| (w, *h, d) == (width, head_dim, depth)));
    let mup = bases(Parameterization::Mup);
    assert!(mup.iter().all(|[w, h, d, _, depth]| (*w, *h, d) == (32, 16, depth)));
    let completep = bases(Parameterization::CompleteP);
    assert!(completep.iter().all(|[w, h, d, _, _]| (*w, *h, *d) == (32, 16, 7)));
}

#[test]
fn the_identity_holds_what_decides_the_outcome_and_nothing_else() {
    let spec = single();
    let id = |edit: &dyn Fn(&mut Spec)| {
        let mut spec = spec.clone();
        edit(&mut spec);
        planned(&spec).runs[0].id.clone()
    };
    let same = id(&|_| {});
    assert_eq!(id(&|spec| spec.eval.curve_points += 1), same);
    assert_eq!(id(&|spec| spec.data.max_epochs = 7.0), same);
    assert_eq!(id(&|spec| (spec.model.base_width, spec.model.base_depth) = (Some(16), Some(9))), same);
    assert_ne!(id(&|spec| spec.eval.tokens *= 2), same);
    assert_ne!(id(&|spec| spec.model.zero_init_unembedding = true), same);
    assert_ne!(id(&|spec| spec.model.zero_init_query = true), same);
    assert_ne!(id(&|spec| spec.model.embedding_std = Some(1.0)), same);
}

#[test]
fn a_point_with_too_few_steps_is_left_out_and_what_its_reason_says_lets_it_in() {
    let mut spec = single();
    spec.schedule.flops = Some(2e10);
    let plan = planned(&spec);
    assert!(plan.runs.is_empty());
    insta::assert_snapshot!(plan.left_out[0].reason, @"23.4 steps, fewer than 50: use a batch of 448 tokens or a budget of 4.3e10 FLOPs");
    spec.schedule.flops = Some(4.3e10);
    assert_eq!(planned(&spec).runs.len(), 1);
    spec.schedule.flops = Some(2e10);
    spec.optimizer.batch_tokens = PowerRule::constant(448.0);
    assert_eq!(planned(&spec).runs.len(), 1);
}

#[test]
fn warm_up_leaves_a_step_for_the_decay_however_short_it_is() {
    let mut spec = single();
    spec.schedule.warmup_max_fraction = 1.0;
    spec.schedule.warmup_tokens_per_param = Some(1e6);
    for (kind, decay_fraction) in [(ScheduleKind::Wsd, Some(1e-17)), (ScheduleKind::Cosine, None)] {
        (spec.schedule.kind, spec.schedule.decay_fraction) = (kind, decay_fraction);
        let schedule = &planned(&spec).runs[0].run.schedule;
        assert_eq!((schedule.warmup_steps, schedule.decay_steps), (schedule.steps - 1, 1));
    }
}

#[test]
fn a_point_that_would_repeat_data_is_left_out_until_the_spec_allows_it() {
    let mut spec = single();
    let small = CorpusFacts { train_tokens: Some(200_000), validation_tokens: Some(1 << 20), ..unlimited() };
    let plan = plan_with(&spec, &small);
    assert!(plan.runs.is_empty());
    insta::assert_snapshot!(plan.left_out[0].reason, @"419k tokens are 2.09 epochs of 200k: use data.max_epochs = 2.1 (now 1), more text, or a smaller budget or a larger size");
    spec.data.max_epochs = 2.1;
    let allowed = plan_with(&spec, &small);
    assert!((allowed.runs[0].epochs.unwrap() - 2.094).abs() < 0.001);
}

#[test]
fn a_size_without_a_shape_is_left_out() {
    let mut spec = quickstart();
    let sweep = spec.sweep.as_mut().unwrap();
    (sweep.sizes, sweep.spread, sweep.expected_tokens_per_param) = (None, None, None);
    sweep.params = Some(vec![2e3, 3e4]);
    sweep.budgets = Some(vec![1e11]);
    let plan = planned(&spec);
    assert_eq!(plan.runs.len(), 1);
    insta::assert_snapshot!(plan.left_out[0].reason, @"no unused shape is within a factor of 1.25 of 2k parameters (the nearest has 3.62k): use a smaller head_dim or vocabulary, or fewer or larger sizes");
}

#[test]
fn a_point_that_makes_the_same_run_again_is_left_out() {
    let mut spec = single();
    spec.sweep = quickstart().sweep;
    let sweep = spec.sweep.as_mut().unwrap();
    (sweep.budgets, sweep.sizes, sweep.spread, sweep.expected_tokens_per_param) = (None, None, None, None);
    // The base width decides nothing in the standard parameterization.
    sweep.axes.insert("model.base_width".to_owned(), vec![32.into(), 64.into()]);
    let plan = planned(&spec);
    assert_eq!((plan.runs.len(), plan.left_out.len()), (1, 1));
    assert!(plan.left_out[0].reason.contains(plan.runs[0].id.as_str()), "{}", plan.left_out[0].reason);
}

#[test]
fn more_evaluation_than_the_corpus_holds_out_is_an_error() {
    let point = single().points().unwrap().remove(0);
    let facts = CorpusFacts { train_tokens: Some(1 << 30), validation_tokens: Some(1000), ..unlimited() };
    insta::assert_snapshot!(plan::expand(&[(point, facts)]).unwrap_err(), @"eval.tokens = 163840, but the corpus holds out 1000 validation tokens; write eval.tokens of at most 1000, or a larger data.validation_fraction");
}

#[test]
fn the_csv_has_a_row_a_run_that_reads_back() {
    let plan = planned(&quickstart());
    let mut text = Vec::new();
    plan::write_csv(&plan, &mut text).unwrap();
    let rows = csv_rows(&text);
    assert_eq!(rows.len(), plan.runs.len());
    for (row, run) in rows.iter().zip(&plan.runs) {
        let whole = |name: &str| row[name].parse::<u64>().unwrap();
        assert_eq!(row["id"], run.id.as_str());
        assert_eq!(row["flops"].parse::<f64>().unwrap().to_bits(), run.flops.to_bits());
        assert_eq!(whole("batch_tokens"), run.run.tokens_per_step() as u64);
        let groups = ["embedding", "position", "blocks", "unembedding"].map(|group| whole(&format!("params_{group}")));
        assert_eq!(groups.iter().sum::<u64>(), run.params.total());
    }
}

/// The rows of a CSV by column.
fn csv_rows(csv: &[u8]) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(csv).deserialize().map(Result::unwrap).collect()
}

#[test]
fn the_command_prints_tables_and_hours_or_csv_alone_and_refuses_with_2() {
    let place = Place::with(SMALL);
    let text = place.says(&["plan", "spec.toml", "--flops-per-second", "1e9", "--slots-per-device", "4"]);
    assert!(text.contains("Budget 3.5e11 FLOPs") && text.contains("1 run, 3.5e11 FLOPs, 7 min"), "{text}");

    let csv = place.says(&["plan", "spec.toml", "--csv"]);
    assert_eq!(csv_rows(csv.as_bytes()).len(), 1);

    for (flags, words) in
        [(["--slots", "0"], "'0' for '--slots-per-device"), (["--flops-per-second", "nan"], "--flops-per-second NaN")]
    {
        assert_refused(&place.run(&[&["plan", "spec.toml"][..], &flags].concat()), &[words]);
    }
    for (from, to, words) in [
        ("width = 64", "width = 65", "spec.toml:14: model.width: 65"),
        ("flops = 3.5e11", "flops = 1e6", "the run cannot be trained: less than"),
    ] {
        place.write("spec.toml", SMALL.replace(from, to));
        assert_refused(&place.run(&["plan", "spec.toml"]), &[words]);
    }
}

#[test]
#[cfg(feature = "cuda")]
fn a_plan_for_cards_tells_their_memory_without_one() {
    let place = Place::new();
    place.write("spec.toml", QUICKSTART);
    let plan = |device: &str, flags: &[&str]| {
        let command =
            ["plan", "spec.toml", "--device", device, "--flops-per-second", "1e12", "--slots-per-device", "2"];
        place.says(&[&command, flags].concat())
    };
    let told: serde_json::Value = serde_json::from_str(&plan("cuda", &["--json"])).unwrap();
    let largest =
        told["runs"].as_array().unwrap().iter().map(|run| run["planned"]["params"]["blocks"].as_u64().unwrap()).max();
    let [one, both] = ["run", "slots"].map(|key| told["card_bytes"][key].as_f64().unwrap());
    // Weights, gradients and both moments in f32, beside activations.
    assert!(one > 16.0 * largest.unwrap() as f64 && both > one && both <= 2.0 * one, "{one} and {both}");
    assert!(plan("cuda", &[]).contains("memory of a card: up to "));
    let elsewhere: serde_json::Value = serde_json::from_str(&plan("cpu", &["--json"])).unwrap();
    assert!(elsewhere["card_bytes"].is_null());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn budgets_are_met_within_a_percent_and_rules_are_followed(
        budget in 1e10..1e20_f64,
        ratio in 2.0..200.0_f64,
        sizes in 7..12_usize,
        spread in 1.5..8.0_f64,
        batch in 64.0..1e6_f64,
        exponent in -0.5..1.0_f64,
        context in prop::sample::select(vec![32_usize, 128, 1024]),
        vocab in 256..65_536_u32,
        min_steps in 50..500_usize,
        max_fraction in 0.0..0.5_f64,
        wsd in any::<bool>(),
        epoch in 1_000_000..10_000_000_000_u64,
    ) {
        let mut spec = quickstart();
        spec.data.vocab = Some(vocab);
        spec.model.context = context;
        spec.optimizer.batch_tokens = PowerRule { value: batch, at: At::Params(1e6), exponent };
        spec.schedule.warmup_max_fraction = max_fraction;
        if wsd {
            (spec.schedule.kind, spec.schedule.decay_fraction) = (ScheduleKind::Wsd, Some(0.2));
        }
        let sweep = spec.sweep.as_mut().unwrap();
        (sweep.budgets, sweep.min_steps) = (Some(vec![budget]), min_steps);
        (sweep.sizes, sweep.spread, sweep.expected_tokens_per_param) = (Some(sizes), Some(spread), Some(ratio));
        let facts = CorpusFacts {
            vocab: vocab as usize,
            train_tokens: Some(epoch),
            validation_tokens: Some(1 << 30),
            fingerprint: String::new(), inputs: None
        };
        let plan = plan_with(&spec, &facts);
        prop_assert_eq!(plan.runs.len() + plan.left_out.len(), sizes);
        prop_assert!(plan.left_out.iter().all(|out| out.reason.contains(": use ")));
        prop_assert!(plan.runs.windows(2).all(|pair| size(&pair[0]) < size(&pair[1])));
        for planned in &plan.runs {
            let (run, schedule) = (&planned.run, &planned.run.schedule);
            prop_assert!(planned.budget_deviation().unwrap().abs() <= 0.01, "{:?}", planned.budget_deviation());
            prop_assert!(schedule.steps >= min_steps);
            prop_assert!(planned.epochs.unwrap() <= spec.data.max_epochs);
            prop_assert!(schedule.warmup_steps as f64 <= max_fraction * schedule.steps as f64);
            prop_assert!(schedule.warmup_steps + schedule.decay_steps <= schedule.steps);
            prop_assert!(schedule.decay_steps > 0);
            let wanted = spec.optimizer.batch_tokens.at(size(planned), planned.tokens as f64);
            let within_a_sequence = (run.tokens_per_step() as f64 - wanted).abs() <= 0.5001 * context as f64;
            prop_assert!(within_a_sequence || run.optimizer.batch_sequences == 1, "{wanted} {}", run.tokens_per_step());
            let rate = spec.optimizer.learning_rate.at(size(planned), planned.tokens as f64);
            prop_assert_eq!(run.optimizer.learning_rate.to_bits(), rate.to_bits());
        }
    }

    #[test]
    fn a_larger_model_of_one_budget_sees_fewer_tokens(budget in 1e11..1e18_f64) {
        let mut spec = quickstart();
        spec.sweep.as_mut().unwrap().budgets = Some(vec![budget]);
        let plan = planned(&spec);
        let by_size: BTreeMap<u64, u64> = plan.runs.iter().map(|p| (size(p) as u64, p.tokens)).collect();
        let tokens: Vec<u64> = by_size.into_values().collect();
        prop_assert!(tokens.windows(2).all(|pair| pair[0] > pair[1]), "{tokens:?}");
    }
}

#[test]
fn a_cosine_cut_short_keeps_its_horizon_and_leaves_out_what_outlasts_it() {
    let mut spec = single();
    let whole = planned(&spec).runs.remove(0);
    let per_step = (whole.run.optimizer.batch_sequences * whole.run.shape.context) as f64;
    spec.schedule.warmup_tokens_per_param = None;
    spec.schedule.warmup_tokens = Some(7.0 * per_step);
    spec.schedule.decay_tokens = Some(3.0 * whole.tokens as f64);
    let short = planned(&spec).runs.remove(0);
    assert_eq!(short.run.schedule.warmup_steps, 7);
    assert_eq!(short.run.schedule.steps, whole.run.schedule.steps);
    assert_eq!(short.run.schedule.decay_steps, 3 * whole.run.schedule.steps - 7);
    spec.schedule.decay_tokens = Some(0.5 * whole.tokens as f64);
    let plan = plan_with(&spec, &unlimited());
    assert!(plan.runs.is_empty() && plan.left_out[0].reason.contains("longer than the cosine"), "{:?}", plan.left_out);
}

#[test]
fn large_budgets_may_be_trained_with_the_first_seed_only() {
    let mut spec = quickstart();
    let sweep = spec.sweep.as_mut().unwrap();
    let mut budgets = sweep.budgets.clone().unwrap();
    budgets.sort_by(f64::total_cmp);
    let largest = *budgets.last().unwrap();
    (sweep.seeds, sweep.one_seed_from) = (vec![4, 5], Some(largest));
    let plan = planned(&spec);
    let seeds = |of: &dyn Fn(f64) -> bool, seed| {
        plan.runs.iter().filter(|run| of(run.run.flop_budget.unwrap()) && run.run.seed == seed).count()
    };
    let (below, at) = (|budget: f64| budget < largest, |budget: f64| budget >= largest);
    assert!(seeds(&below, 5) > 0 && seeds(&below, 4) == seeds(&below, 5));
    assert!(seeds(&at, 4) > 0 && seeds(&at, 5) == 0);
}

#[test]
fn a_short_text_gets_sizes_nearer_to_each_other_that_keep_both_sides_of_the_optimum() {
    let spec = quickstart();
    let whole = planned(&spec);
    assert_eq!(plan::bracket(&spec, &whole, &|spec| Ok(planned(spec))), Ok(None), "nothing was left out");
    let longest = whole.runs.iter().map(|run| run.tokens).max().unwrap();
    let text = |share: f64| CorpusFacts { train_tokens: Some((share * longest as f64) as u64), ..unlimited() };
    // The longest text that takes more than a size or two away.
    let offered = |share: &f64| {
        let facts = text(*share);
        let cut = plan_with(&spec, &facts);
        let found = plan::bracket(&spec, &cut, &|spec| Ok(plan_with(spec, &facts))).unwrap();
        Some((facts, found?))
    };
    let (facts, found) = [0.8, 0.6, 0.5, 0.4, 0.3, 0.2].iter().find_map(offered).expect("a narrower grid");
    let (old, new) = (spec.sweep.as_ref().unwrap(), found.spec.sweep.as_ref().unwrap());
    let smaller = new.spread < old.spread || new.budgets.as_ref().unwrap().len() < old.budgets.as_ref().unwrap().len();
    assert!(smaller && !found.set.is_empty() && found.set.len() == found.said.len(), "{:?}", found.set);
    let expected = new.expected_tokens_per_param.unwrap();
    for budget in new.budgets.as_ref().unwrap() {
        let ratios: Vec<f64> = found
            .plan
            .runs
            .iter()
            .filter(|run| run.run.flop_budget == Some(*budget))
            .map(PlannedRun::tokens_per_param)
            .collect();
        let below = ratios.iter().filter(|ratio| **ratio < expected).count();
        assert!(below >= 2 && ratios.len() - below >= 2, "{budget:e}: {ratios:?}");
    }
    assert!(found.plan.runs.iter().all(|run| run.tokens <= facts.train_tokens.unwrap()));
    // What is printed sets the same plan.
    let by_hand = spec::parse(&spec::edit(QUICKSTART, &found.set).unwrap(), "quickstart.toml").unwrap();
    assert_eq!(plan_with(&by_hand, &facts), found.plan);
    // Where no curve has both sides, there is nothing to offer.
    let none = text(0.01);
    let left = plan_with(&spec, &none);
    assert_eq!(plan::bracket(&spec, &left, &|spec| Ok(plan_with(spec, &none))), Ok(None));
}

#[test]
fn more_steps_than_can_be_counted_are_left_out_with_words() {
    let with = |tokens: f64| {
        let mut spec = single();
        (spec.schedule.tokens, spec.schedule.flops) = (Some(tokens), None);
        planned(&spec)
    };
    // 1024 tokens a step.
    let most = f64::from(i32::MAX) * 1024.0;
    assert_eq!(with(most).runs.len(), 1);
    let plan = with(most + 1024.0);
    assert!(plan.runs.is_empty() && plan.left_out[0].reason.contains("steps are more than can be counted"));
}

#[cfg(all(feature = "cpu", target_os = "linux"))]
#[test]
fn the_speed_of_a_model_that_no_memory_holds_is_not_measured() {
    let place = Place::with(SMALL);
    let set =
        ["--set", "model.width=131072", "--set", "model.depth=8", "--set", "schedule.flops=1e22", "--device", "cpu"];
    let output = place.run(&[&["plan", "spec.toml"][..], &set].concat());
    crate::common::assert_said(&output, &["the speed is not measured", "of memory, and", "give --flops-per-second"]);
}
