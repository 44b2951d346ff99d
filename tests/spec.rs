//! Specs: what is accepted, what is refused and how, and how axes multiply out.

use proptest::prelude::*;
use runner::parameterization::Parameterization;
use runner::spec::{self, At, PowerRule, ScheduleKind, Spec};

use crate::common::{Place, QUICKSTART, SMALL, specs};

const GRID: &str = include_str!("../sweeps/lr-grid.toml");

/// The text with the line that begins with `start` replaced; an empty replacement deletes it.
fn edit(text: &str, start: &str, replacement: &str) -> String {
    assert!(text.lines().any(|line| line.starts_with(start)), "no line begins with {start}");
    let keep = |line: &str| if line.starts_with(start) { replacement.to_owned() } else { line.to_owned() };
    text.lines().map(keep).map(|line| line + "\n").collect()
}

fn complaint(text: &str) -> String {
    spec::parse(text, "x.toml").expect_err("this spec should be refused").to_string()
}

fn parse(text: &str) -> Spec {
    spec::parse(text, "x.toml").unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_spec_of_the_repository_is_valid() {
    for path in specs() {
        let spec = spec::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let stem = path.file_stem().unwrap().to_str().unwrap();
        assert!(spec.name.ends_with(stem), "{}: named like its file, perhaps with a word before", path.display());
        assert_eq!(spec::parse(&spec.to_toml(), "again").unwrap(), spec);
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "budgets", "budgts = [1e12]")), @"x.toml:43: sweep.budgts: there is no such key; write budgets");
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "[eval]", "[evl]")), @"x.toml:36: evl: there is no such key; write eval");
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "vocab", "vocab = 512\nflavour = 3")), @"x.toml:10: data.flavour: there is no such key; write one of source, path, column, separator, deduplicate, skip_bad, dtype, validation_path, tokenizer, vocab, validation_fraction, history, max_epochs, train_tokens, keep, keep_by, keep_scores, keep_file, seed, weights, parts");
    insta::assert_snapshot!(
        complaint(&edit(SMALL, "learning_rate", "learning_rate = { value = 1, exponet = 1 }")), @"x.toml:19: optimizer.learning_rate.exponet: there is no such key; write exponent");
}

#[test]
fn a_wrong_type_is_refused_with_an_example() {
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "context", "context = \"64\"")), @r#"x.toml:15: model.context: expected a whole number of 0 or more, found string "64"; write for example 128"#);
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "budgets", "budgets = 1e12")), @"x.toml:43: sweep.budgets: expected a list, found floating point 1000000000000.0; write for example [1e12, 3e12, 1e13]");
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "seeds", "seeds = [1, -1]")), @"x.toml:48: sweep.seeds[1]: expected a whole number of 0 or more, found integer -1; write for example [1]");
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "parameterization", "parameterization = \"mpu\"")), @r#"x.toml:14: model.parameterization: "mpu" is not one of standard, mup, completep; write "mup""#);
    insta::assert_snapshot!(complaint(&edit(SMALL, "learning_rate", "learning_rate = \"tune\"")), @r#"x.toml:19: optimizer.learning_rate: "tune" is not a rule; write "tuned", a number, or a table of value, exponent, and at_params or at_tokens"#);
    insta::assert_snapshot!(complaint(&edit(SMALL, "learning_rate", "learning_rate = true")), @r#"x.toml:19: optimizer.learning_rate: expected a number, "tuned", or a rule with value, exponent, and at_params or at_tokens, found boolean true; write for example { value = 0.01, at_params = 1e5, exponent = -0.333 }"#);
}

#[test]
fn a_missing_key_is_refused_at_its_table() {
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "seeds", "")), @"x.toml:42: sweep.seeds: missing; write a line such as seeds = [1]");
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "sizes", "")), @"x.toml:42: sweep.sizes: missing; write how many sizes each budget gets, such as 7");
    insta::assert_snapshot!(complaint(&edit(SMALL, "width", "")), @"x.toml:10: model.width: missing; write the channels of the residual stream, such as 64");
    insta::assert_snapshot!(complaint(""), @r#"
    x.toml:1: name: missing; write a line such as name = "quickstart"
    error: x.toml: data: missing; write the table [data], as in sweeps/quickstart.toml
    "#);
}

#[test]
fn text_that_is_no_toml_is_refused_at_its_line() {
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "[sweep]", "[sweep")), @"x.toml:42: unclosed table, expected `]`; see https://toml.io for what TOML allows");
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "seeds", "seeds = [1]\nseeds = [2]")), @"x.toml:49: a key or table is written twice; keep one of the two");
    insta::assert_snapshot!(complaint("name = \"x\u{e9}\u{e9}\nx"), @"x.toml:2: key with no value, expected `=`; see https://toml.io for what TOML allows");
}

#[test]
fn impossible_values_are_refused_with_what_to_write_instead() {
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "budgets", "budgets = [0, 1e12]")), @"x.toml:43: sweep.budgets: 0 is not a budget; write training FLOPs above 0 and up to 1e27, such as [1e12, 3e12, 1e13]");
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "budgets", "budgets = [nan]")), @"x.toml:43: sweep.budgets: NaN is not a budget; write training FLOPs above 0 and up to 1e27, such as [1e12, 3e12, 1e13]");
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "budgets", "budgets = [1e12, 1000000000000]")), @"x.toml:43: sweep.budgets: 1e12 is listed twice; write each once");
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "sizes", "sizes = 6")), @"x.toml:44: sweep.sizes: 6 sizes do not show a minimum; write 7 or more (up to 1000)");
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "min_steps", "min_steps = 49")), @"x.toml:47: sweep.min_steps: with 49 steps a run cannot match its budget within 1%; write 50 or more, such as 100");
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "seeds", "seeds = [1, 1]")), @"x.toml:48: sweep.seeds: a seed is listed twice, which would train the same runs twice; write each once, such as [1, 2, 3]");
    insta::assert_snapshot!(complaint(&edit(QUICKSTART, "name", "name = \"../up\"")), @r#"x.toml:5: name: "../up" cannot name a results folder; write up to 100 of A-Z a-z 0-9 . _ - beginning with a letter or digit, such as "isoflop-rfc""#);
    insta::assert_snapshot!(complaint(&edit(SMALL, "head_dim", "head_dim = 15")), @"x.toml:13: model.head_dim: 15 is odd; write an even number such as 16: rotary positions turn channels in pairs");
    insta::assert_snapshot!(complaint(&edit(SMALL, "width", "width = 65")), @"x.toml:14: model.width: 65 is not a multiple of head_dim = 16; write for example 64");
    insta::assert_snapshot!(complaint(&edit(SMALL, "learning_rate", "learning_rate = -0.1")), @"x.toml:19: optimizer.learning_rate: -0.1 is impossible; write a number above 0, such as 0.01");
}

/// Every one of these lines alone makes a spec invalid, and the error names its key.
#[test]
#[expect(clippy::too_many_lines, reason = "a list of cases")]
fn each_value_out_of_its_range_is_refused_under_its_own_key() {
    let cases = [
        ("vocab", "vocab = 255", "data.vocab"),
        ("vocab", "vocab = 65537", "data.vocab"),
        ("max_epochs", "max_epochs = 0", "data.max_epochs"),
        ("max_epochs", "max_epochs = inf", "data.max_epochs"),
        ("seed ", "seed = 9223372036854775808", "data.seed"),
        ("context", "context = 0", "model.context"),
        ("width", "width = 0", "model.width"),
        ("depth", "depth = 0", "model.depth"),
        ("depth", "depth = 2\naspect_ratio = 32", "model.aspect_ratio"),
        ("depth", "depth = 2\nbase_width = 40", "model.base_width"),
        ("depth", "depth = 2\nbase_width = 48\nbase_head_dim = 32", "model.base_width"),
        ("depth", "depth = 2\nbase_head_dim = 15", "model.base_head_dim"),
        ("depth", "depth = 2\nbase_depth = 0", "model.base_depth"),
        ("depth", "depth = 2\nzero_init_query = 1", "model.zero_init_query"),
        ("parameterization", "parameterization = \"mup\"", "model.base_width"),
        ("parameterization", "parameterization = \"mup\"\nbase_width = 32", "model.base_head_dim"),
        (
            "parameterization",
            "parameterization = \"completep\"\nbase_width = 32\nbase_head_dim = 16",
            "model.base_depth",
        ),
        ("batch_tokens", "batch_tokens = 0", "optimizer.batch_tokens"),
        (
            "batch_tokens",
            "batch_tokens = { value = 1e3, at_params = 0, exponent = 1 }",
            "optimizer.batch_tokens.at_params",
        ),
        ("beta1", "beta1 = 1", "optimizer.beta1"),
        ("beta2", "beta2 = -0.1", "optimizer.beta2"),
        ("epsilon", "epsilon = 0", "optimizer.epsilon"),
        ("weight_decay", "weight_decay = -1", "optimizer.weight_decay"),
        ("clip_norm", "clip_norm = nan", "optimizer.clip_norm"),
        ("epsilon", "epsilon = 1e-8\nmomentum = 0.9", "optimizer.momentum"),
        ("weight_decay", "weight_decay = 0.1\nweight_decay_tokens = 1e8", "optimizer.weight_decay_tokens"),
        ("floor", "floor = 0.1\ncooldown = \"1-sqrt\"", "schedule.cooldown"),
        ("max_epochs", "max_epochs = 1\ntrain_tokens = 0", "data.train_tokens"),
        ("floor", "floor = 1.5", "schedule.floor"),
        ("floor", "floor = nan", "schedule.floor"),
        ("warmup_tokens", "warmup_tokens_per_param = -1", "schedule.warmup_tokens_per_param"),
        ("warmup_max", "warmup_max_fraction = 2", "schedule.warmup_max_fraction"),
        ("kind = \"cosine\"", "kind = \"wsd\"", "schedule.decay_fraction"),
        ("kind = \"cosine\"", "kind = \"wsd\"\ndecay_fraction = 0.9", "schedule.decay_fraction"),
        ("floor", "floor = 0.1\ndecay_fraction = 0.2", "schedule.decay_fraction"),
        ("floor", "floor = 0.1\ndecay_tokens = 0", "schedule.decay_tokens"),
        ("floor", "floor = 0.1\nwarmup_tokens = 1e5", "schedule.warmup_tokens"),
        ("flops", "", "schedule.tokens"),
        ("flops", "flops = 1e12\ntokens = 1e6", "schedule.flops"),
        ("flops", "tokens = 0", "schedule.tokens"),
        ("tokens", "tokens = 127", "eval.tokens"),
        ("curve_points", "curve_points = 0", "eval.curve_points"),
        ("vocab", "vocab = 512\npath = \"x\"", "data.path"),
        ("vocab", "vocab = 512\nvalidation_fraction = 0.1", "data.validation_fraction"),
        ("source", "source = \"text\"", "data.path"),
        ("source", "source = \"text\"\npath = \"x\"", "data.validation_fraction"),
        ("source", "source = \"text\"\npath = \"x\"\nvalidation_fraction = 1.0", "data.validation_fraction"),
        ("source", "source = \"text\"\npath = \"x\"\nvalidation_fraction = 0.1\ntokenizer = \"t\"", "data.vocab"),
        ("source", "source = \"bin\"\npath = \"x\"", "data.validation_fraction"),
        ("source", "source = \"bin\"\npath = \"x\"\ntokenizer = \"t\"", "data.tokenizer"),
    ];
    for (start, replacement, key) in cases {
        let error = spec::parse(&edit(SMALL, start, replacement), "x.toml").expect_err(replacement);
        assert_eq!(error.key, key, "{replacement}: {error}");
        assert!(error.line.is_some() && !error.remedy.is_empty(), "{error}");
    }
    let sweeps = [
        ("sizes", "sizes = 7\nparams = [1e5]", "sweep.sizes"),
        ("sizes", "params = [1e5]", "sweep.spread"),
        ("spread", "spread = 1", "sweep.spread"),
        ("budgets", "", "sweep.sizes"),
        ("budgets", "budgets = []", "sweep.budgets"),
        ("seeds", "seeds = []", "sweep.seeds"),
        ("aspect_ratio", "", "model.aspect_ratio"),
        ("aspect_ratio", "aspect_ratio = 16\nwidth = 64", "model.width"),
        ("floor", "floor = 0.1\nflops = 1e12", "schedule.flops"),
        ("expected", "expected_tokens_per_param = 0", "sweep.expected_tokens_per_param"),
    ];
    for (start, replacement, key) in sweeps {
        let error = spec::parse(&edit(QUICKSTART, start, replacement), "x.toml").expect_err(replacement);
        assert_eq!(error.key, key, "{replacement}: {error}");
    }
}

#[test]
fn names_that_are_no_folder_are_refused() {
    let long = "a".repeat(101);
    for name in ["", ".", "..", "a/b", "-a", "a b", "a\\u0000", "a..b", "é", long.as_str()] {
        let error = spec::parse(&edit(SMALL, "name", &format!("name = \"{name}\"")), "x.toml").expect_err(name);
        assert_eq!((error.key.as_str(), error.line), ("name", Some(2)));
    }
    for name in ["a", "0", "isoflop-rfc_2.1", &long[..100]] {
        assert_eq!(parse(&edit(SMALL, "name", &format!("name = \"{name}\""))).name, name);
    }
}

#[test]
fn rules_are_numbers_tables_or_the_tuned_rule_of_their_field() {
    let rate = |value: &str| parse(&edit(SMALL, "learning_rate", &format!("learning_rate = {value}"))).optimizer;
    assert_eq!(rate("1").learning_rate, PowerRule::constant(1.0));
    assert_eq!(rate("0.5").learning_rate, PowerRule::constant(0.5));
    let table = PowerRule { value: 0.1, at: At::Params(1e6), exponent: -0.5 };
    assert_eq!(rate("{ value = 0.1, at_params = 1000000, exponent = -0.5 }").learning_rate, table);
    assert_eq!(rate("\"tuned\"").learning_rate, PowerRule::TUNED_LEARNING_RATE);
    let batch = parse(&edit(SMALL, "batch_tokens", "batch_tokens = \"tuned\"")).optimizer.batch_tokens;
    assert_eq!(batch, PowerRule::TUNED_BATCH_TOKENS);
}

#[test]
fn axes_make_every_combination_and_a_zip_goes_side_by_side() {
    let points = parse(GRID).points().unwrap();
    assert_eq!(points.len(), 5 * 2 * 3);
    let mut seen = std::collections::BTreeSet::new();
    for point in &points {
        let spec = &point.spec;
        let sweep = spec.sweep.as_ref().unwrap();
        assert!(sweep.axes.is_empty() && sweep.zip.is_empty());
        assert_eq!(spec.model.depth, Some(2));
        assert_eq!(point.axes["model.width"], spec.model.width.unwrap().to_string());
        assert_eq!(point.axes["model.parameterization"], spec.model.parameterization.name());
        assert_eq!(point.axes["optimizer.learning_rate"], spec.optimizer.learning_rate.value.to_string());
        seen.insert(point.axes.clone());
    }
    assert_eq!(seen.len(), points.len());
    let mup = points.iter().filter(|point| point.spec.model.parameterization == Parameterization::Mup).count();
    assert_eq!(mup, 15);
}

#[test]
fn faulty_axes_are_refused_at_the_axis() {
    let axis = |line: &str| complaint(&edit(GRID, "\"optimizer.learning_rate\"", line));
    insta::assert_snapshot!(axis("\"optimizer.lerning_rate\" = [1]"), @r#"x.toml:44: sweep.axes."optimizer.lerning_rate": there is no such key; write learning_rate"#);
    insta::assert_snapshot!(axis("\"optimizer.learning_rate\" = [0.1, \"x\"]"), @r#"x.toml:44: sweep.axes."optimizer.learning_rate": "x" is not a rule; write "tuned", a number, or a table of value, exponent, and at_params or at_tokens"#);
    insta::assert_snapshot!(axis("\"optimizer.learning_rate\" = [0.1, -1.0]"), @r#"x.toml:44: sweep.axes."optimizer.learning_rate": -1 is impossible (where model.parameterization = "standard", optimizer.learning_rate = -1.0, model.depth = 2, model.width = 32); write a number above 0, such as 0.01"#);
    insta::assert_snapshot!(axis("\"optimizer.learning_rate\" = []"), @r#"x.toml:44: sweep.axes."optimizer.learning_rate": no values; write a list of at least one value"#);
    insta::assert_snapshot!(axis("\"optimizer.learning_rate\" = [0.1, 0.1]"), @r#"x.toml:44: sweep.axes."optimizer.learning_rate": a value is listed twice, which would train the same runs twice; write each once; use sweep.seeds for repeats"#);
    insta::assert_snapshot!(axis("\"model.width\" = [64]"), @r#"x.toml:48: sweep.zip[0]."model.width": already varied by "model.width"; vary each field in one place"#);
    insta::assert_snapshot!(axis("\"model.depth.x\" = [64]"), @r#"x.toml:49: sweep.zip[0]."model.depth": already varied by "model.depth.x"; vary each field in one place"#);
    insta::assert_snapshot!(axis("\"sweep.seeds\" = [[1], [2]]"), @r#"x.toml:44: sweep.axes."sweep.seeds": seeds cannot be an axis; write them in sweep.seeds: every point is trained once per seed"#);
    insta::assert_snapshot!(axis("\"name\" = [\"a\"]"), @"x.toml:44: sweep.axes.name: not a field that can be varied; write the dotted path of a field outside name, fit, launcher, sweep.axes, sweep.zip, sweep.stop_early and sweep.seeds");
    insta::assert_snapshot!(complaint(&edit(GRID, "\"model.depth\"", "\"model.depth\" = [2, 2]")), @r#"x.toml:48: sweep.zip[0]."model.width": 3 values, but "model.depth" has 2; write lists of equal length"#);
    let many: Vec<String> = (1..200).map(|i| i.to_string()).collect();
    let many = format!("\"optimizer.epsilon\" = [{0}]\n\"optimizer.weight_decay\" = [{0}]", many.join(", "));
    insta::assert_snapshot!(axis(&many), @"x.toml:43: sweep.axes: the axes make more than 10000 points; write fewer values, or put fields that change together in [[sweep.zip]]");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let place = Place::new();
    let error = |path: &std::path::Path| spec::load(path).expect_err("unreadable").to_string();
    assert!(error(&place.path("nope.toml")).contains("nope.toml: cannot be read: No such file"));
    assert!(error(&place.path("")).contains("cannot be read"));
    assert!(error(&place.write("latin1.toml", b"name = \"\xe9\"")).contains("UTF-8"));
}

#[test]
fn a_table_in_double_brackets_and_numbers_of_hundreds_of_digits_are_told_in_short() {
    let error = |text: String| spec::parse(&text, "s.toml").unwrap_err().to_string();
    let doubled = error(QUICKSTART.replace("[sweep]", "[[sweep]]"));
    assert!(doubled.contains("sweep: a table, and no list of tables; write [sweep] once, with single"), "{doubled}");
    let large = error(QUICKSTART.replace("budgets = [", "budgets = [1e300, "));
    assert!(large.contains("1e300 is not a budget") && large.contains("up to 1e27"), "{large}");
    let negative = error(QUICKSTART.replace("epsilon = 1e-8", "epsilon = -1e300"));
    assert!(negative.contains("-1e300 is impossible"), "{negative}");
    let word = error(QUICKSTART.replace("batch_tokens = {", "batch_tokens = \"auto\" #"));
    assert!(word.contains("at_params or at_tokens"), "{word}");
}

/// Rules as a spec may have them.
fn rules() -> impl Strategy<Value = PowerRule> {
    prop_oneof![
        (1e-6..1e6_f64).prop_map(PowerRule::constant),
        (1e-6..1e6_f64, 1.0..1e12_f64, -2.0..2.0_f64).prop_map(|(value, at_params, exponent)| PowerRule {
            value,
            at: At::Params(at_params),
            exponent
        }),
        (1e-6..1e6_f64, 1.0..1e12_f64, -2.0..2.0_f64).prop_map(|(value, at_tokens, exponent)| PowerRule {
            value,
            at: At::Tokens(at_tokens),
            exponent
        }),
        Just(PowerRule::TUNED_LEARNING_RATE),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_spec_that_is_written_reads_back_the_same(
        learning_rate in rules(),
        batch_tokens in rules(),
        seeds in prop::collection::btree_set(0..=i64::MAX as u64, 1..4),
        mut budgets in prop::collection::vec(1.0..1e20_f64, 1..4),
        base_width in prop::option::of(1..64_usize),
        base_depth in prop::option::of(1..64_usize),
        zero_inits in any::<[bool; 2]>(),
        floor in 0.0..=1.0_f64,
        wsd in any::<bool>(),
        data_seed in 0..=i64::MAX as u64,
    ) {
        let mut spec = parse(QUICKSTART);
        budgets.dedup();
        spec.optimizer.learning_rate = learning_rate;
        spec.optimizer.batch_tokens = batch_tokens;
        spec.model.base_width = base_width.map(|heads| heads * spec.model.head_dim);
        spec.model.base_depth = base_depth;
        [spec.model.zero_init_unembedding, spec.model.zero_init_query] = zero_inits;
        spec.schedule.floor = floor;
        if wsd {
            (spec.schedule.kind, spec.schedule.decay_fraction) = (ScheduleKind::Wsd, Some(0.3));
        }
        spec.data.seed = data_seed;
        let sweep = spec.sweep.as_mut().unwrap();
        sweep.seeds = seeds.into_iter().collect();
        sweep.budgets = Some(budgets);
        let rates = [0.125, learning_rate.value + 1.0].map(toml::Value::Float).to_vec();
        sweep.axes.insert("optimizer.learning_rate".to_owned(), rates);
        let text = spec.to_toml();
        let again = spec::parse(&text, "again").map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(&again, &spec);
        prop_assert_eq!(again.points().unwrap(), spec.points().unwrap());
    }
}

#[test]
fn a_launcher_is_checked_like_the_rest_and_is_no_axis() {
    let with = |lines: &str| complaint(&format!("{QUICKSTART}\n[launcher]\n{lines}\n"));
    insta::assert_snapshot!(with("kind = \"slurm\""), @r#"x.toml:50: launcher.workers: missing; write a line such as workers = 4"#);
    insta::assert_snapshot!(with("kind = \"pbs\"\nworkers = 4"), @r#"x.toml:51: launcher.kind: "pbs" is not one of slurm; write one of slurm"#);
    insta::assert_snapshot!(with("kind = \"slurm\"\nworkers = 4\nparition = \"gpu\""), @r#"x.toml:53: launcher.parition: there is no such key; write partition"#);
    insta::assert_snapshot!(with("kind = \"slurm\"\nworkers = 0"), @r#"x.toml:52: launcher.workers: an array of 0 workers is impossible; write a whole number of 1 or more, such as 4"#);
    insta::assert_snapshot!(with("kind = \"slurm\"\nworkers = 4\ntime = 08:00:00"), @r#"x.toml:53: launcher.time: expected a string, found map; write for example "08:00:00""#);
    insta::assert_snapshot!(with("kind = \"slurm\"\nworkers = 4\npartition = \"gpu; id\""), @r#"x.toml:53: launcher.partition: "gpu; id" cannot stand in a batch script; write letters, digits, _ and . , -, beginning with a letter or digit, such as "gpu""#);
    insta::assert_snapshot!(complaint(&format!("{SMALL}\n[launcher]\nkind = \"slurm\"\nworkers = 4\n")), @r#"x.toml:38: launcher: does not belong here: a single run is trained on this machine; delete it"#);
    insta::assert_snapshot!(complaint(&format!("{QUICKSTART}\n[sweep.axes]\n\"launcher.workers\" = [1, 2]\n")), @r#"x.toml:51: sweep.axes."launcher.workers": not a field that can be varied; write the dotted path of a field outside name, fit, launcher, sweep.axes, sweep.zip, sweep.stop_early and sweep.seeds"#);
    let spec = parse(&format!("{QUICKSTART}\n[launcher]\nkind = \"slurm\"\nworkers = 4\noptions = [\"--qos=long\"]\n"));
    assert_eq!(parse(&spec.to_toml()), spec);
}
