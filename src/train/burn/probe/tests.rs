//! The coordinate check on tiny models: the table passes, and every row of it is noticed when it is wrong.

use std::sync::LazyLock;

use super::*;
use crate::data::{Language, Split};
use crate::fit::transfer::coordinates::{Coordinate, First, Measurement, Verdict, check};
use crate::optimizer::OptimizerKind;
use crate::parameterization::{Parameterization, Role, Rule, Table};
use crate::plan::testing::small;
use crate::spec::{LONGEST_HISTORY, PowerRule};

const CONTEXT: usize = 32;
const STEPS: usize = 8;
const BASE_DEPTH: usize = 2;

/// The built-in language, made once for all tests.
static LANGUAGE: LazyLock<Language> = LazyLock::new(|| Language::new(256, 1, LONGEST_HISTORY));

/// A run of a width and a depth, with heads of 8 channels.
fn run(parameterization: Parameterization, base_width: usize, [width, depth]: [usize; 2], seed: u64) -> Run {
    let mut run = small(|spec| {
        (spec.data.vocab, spec.model.context) = (Some(256), CONTEXT);
        spec.optimizer.batch_tokens = PowerRule::constant(256.0);
    })
    .run;
    (run.shape.width, run.shape.depth, run.shape.heads, run.seed) = (width, depth, width / 8, seed);
    (run.parameterization, run.base_width, run.base_depth, run.base_head_dim) =
        (parameterization, base_width, BASE_DEPTH, 8);
    run
}

/// The table with some of its rows changed, given m and l.
struct Broken<'a> {
    table: Table,
    change: &'a dyn Fn(Role, Rule, f64, f64) -> Rule,
    /// Factor on the attention scale, given m.
    attention: &'a dyn Fn(f64) -> f64,
}

impl Broken<'_> {
    fn growth(&self) -> (f64, f64) {
        let scale = self.table.scale;
        (scale.width as f64 / scale.base_width as f64, scale.depth as f64 / scale.base_depth as f64)
    }
}

impl Rules for Broken<'_> {
    fn rule(&self, role: Role, fan_in: usize) -> Rule {
        let (m, l) = self.growth();
        (self.change)(role, self.table.rule(role, fan_in), m, l)
    }

    fn attention_scale(&self) -> f64 {
        self.table.attention_scale() * (self.attention)(self.growth().0)
    }
}

type Change<'a> = &'a dyn Fn(Role, Rule, f64, f64) -> Rule;

fn checked(runs: &[Run], several_depths: bool, change: Change<'_>, attention: &dyn Fn(f64) -> f64) -> Vec<Coordinate> {
    let device = Device::flex().autodiff();
    let mut measurements = Vec::new();
    for run in runs {
        let broken = Broken { table: run.table(), change, attention };
        let batch = |step: usize, out: &mut Vec<u16>| {
            out.clear();
            let sequences = run.optimizer.batch_sequences as u64;
            for index in step as u64 * sequences..(step as u64 + 1) * sequences {
                LANGUAGE.sequence(Split::Train(run.seed), index, CONTEXT + 1, out);
            }
        };
        for seen in probe(run, &broken, &batch, STEPS, &device) {
            let Some(activation) = seen.site.name(run.shape.depth, several_depths) else { continue };
            let size = if several_depths { run.shape.depth } else { run.shape.width };
            let Seen { step, mean_abs, .. } = seen;
            measurements.push(Measurement { size: size as f64, seed: run.seed, step, activation, mean_abs });
        }
    }
    check(&measurements, |name| match name {
        "embedding" => First::Flat,
        _ if several_depths => First::MayFade,
        "logits" => First::Fades,
        _ => First::Flat,
    })
}

/// Names of the activations that fail from width 16 to 128: the ends are all that a slope needs.
fn over_width(parameterization: Parameterization, change: Change<'_>, attention: &dyn Fn(f64) -> f64) -> Vec<String> {
    let runs: Vec<Run> = [16, 128]
        .iter()
        .flat_map(|&width| [1, 2].map(|seed| run(parameterization, 16, [width, BASE_DEPTH], seed)))
        .collect();
    failures(&checked(&runs, false, change, attention))
}

/// Names of the activations that fail from width 16 to 128 with an optimizer, at a rate that suits it.
fn with_optimizer(parameterization: Parameterization, kind: OptimizerKind) -> Vec<String> {
    let with = |width, seed| {
        let mut run = run(parameterization, 16, [width, BASE_DEPTH], seed);
        run.optimizer.kind = kind;
        run.optimizer.momentum = Some(0.9);
        match kind {
            OptimizerKind::Adamw | OptimizerKind::Muon => {}
            // Its useful rates are near: at 0.003 the logits still fade as for SGD, at 0.03 nothing is stable.
            OptimizerKind::Lion => run.optimizer.learning_rate = 0.01,
            // At 0.1 the logits, which fade at first by design, have not grown after eight steps; at 1 it diverges. The norm
            // of all gradients is not the same at every width, so clipping by it would be another rate at each.
            OptimizerKind::Sgd => (run.optimizer.learning_rate, run.optimizer.clip_norm) = (0.3, 0.0),
        }
        run
    };
    let runs: Vec<Run> = [16, 128].iter().flat_map(|&width| [1, 2].map(|seed| with(width, seed))).collect();
    failures(&checked(&runs, false, AS_IT_IS, &|_| 1.0))
}

#[test]
fn every_optimizer_passes_over_width_with_mup_and_fails_without() {
    for kind in OptimizerKind::ALL {
        let [mup, standard] = [Parameterization::Mup, Parameterization::Standard].map(|row| with_optimizer(row, kind));
        println!("{kind:?}, standard: {standard:#?}");
        assert!(mup.is_empty(), "{kind:?}: {mup:#?}");
        assert!(!standard.is_empty(), "{kind:?} passes without muP");
    }
}

/// Names of the activations that fail from depth 2 to 8.
fn over_depth(parameterization: Parameterization, change: Change<'_>) -> Vec<String> {
    let deep = |depth, seed| {
        let mut run = run(parameterization, 32, [32, depth], seed);
        // The narrower the model, the sooner its blocks saturate: at twice this rate attention fades by 0.23.
        run.optimizer.learning_rate = 0.005;
        run
    };
    let runs: Vec<Run> = [2, 8].iter().flat_map(|&depth| [1, 2, 3].map(|seed| deep(depth, seed))).collect();
    failures(&checked(&runs, true, change, &|_| 1.0))
}

fn failures(coordinates: &[Coordinate]) -> Vec<String> {
    // Two seeds decide little; the same two each time, their means tell.
    let failed = coordinates.iter().filter(|c| c.is_off() || c.verdict.fails() || c.verdict == Verdict::Diverged);
    failed.map(|c| format!("{} {}: {:?}, {:?}", c.activation, c.verdict.name(), c.drawn, c.trained)).collect()
}

const AS_IT_IS: Change<'static> = &|_, rule, _, _| rule;

#[test]
fn mup_and_completep_pass_over_width_and_the_standard_parameterization_fails() {
    for parameterization in [Parameterization::Mup, Parameterization::CompleteP] {
        let failed = over_width(parameterization, AS_IT_IS, &|_| 1.0);
        assert!(failed.is_empty(), "{parameterization:?}: {failed:#?}");
    }
    assert!(!over_width(Parameterization::Standard, AS_IT_IS, &|_| 1.0).is_empty());
}

#[test]
fn completep_passes_over_depth_and_the_others_fail() {
    let failed = over_depth(Parameterization::CompleteP, AS_IT_IS);
    assert!(failed.is_empty(), "{failed:#?}");
    for parameterization in [Parameterization::Standard, Parameterization::Mup] {
        assert!(!over_depth(parameterization, AS_IT_IS).is_empty(), "{parameterization:?}");
    }
}

/// A rule of one role with a column multiplied by a power of m.
fn wrong(role: Role, column: fn(&mut Rule) -> &mut f64, power: f64) -> impl Fn(Role, Rule, f64, f64) -> Rule {
    move |of, mut rule, m, _| {
        if of == role {
            *column(&mut rule) *= m.powf(power);
        }
        rule
    }
}

#[test]
fn every_row_of_the_table_is_noticed_when_its_initialization_is_wrong() {
    for role in [Role::Embedding, Role::Hidden, Role::Residual, Role::Unembedding] {
        for power in [-0.5, 0.5] {
            let change = wrong(role, |rule| &mut rule.init_std, power);
            let failed = over_width(Parameterization::Mup, &change, &|_| 1.0);
            println!("{role:?} init x m^{power}: {failed:#?}");
            assert!(!failed.is_empty(), "{role:?} with its initialization times m^{power} passes");
        }
    }
}

#[test]
fn every_row_of_the_table_is_noticed_when_its_learning_rate_is_wrong() {
    // Routers and gains of queries are of parts that this model has not; their rows are in `parameterization/tests.rs`.
    let weights = run(Parameterization::Mup, 16, [16, BASE_DEPTH], 1).shape.weights();
    for role in Role::ALL.into_iter().filter(|role| weights.iter().any(|weight| weight.role == *role)) {
        // Gains begin at 1 and move by the rate, up as often as down: in so few steps only a gross error shows.
        let power = if role.is_gain() { 2.0 } else { 1.0 };
        let change = wrong(role, |rule| &mut rule.learning_rate, power);
        let failed = over_width(Parameterization::Mup, &change, &|_| 1.0);
        println!("{role:?} rate x m^{power}: {failed:#?}");
        assert!(!failed.is_empty(), "{role:?} with its learning rate times m^{power} passes");
    }
}

#[test]
fn every_row_of_the_table_is_noticed_when_its_multiplier_is_wrong() {
    for role in [Role::Embedding, Role::Hidden, Role::Residual, Role::Unembedding] {
        let change = wrong(role, |rule| &mut rule.multiplier, 0.5);
        let failed = over_width(Parameterization::Mup, &change, &|_| 1.0);
        println!("{role:?} multiplier x m^0.5: {failed:#?}");
        assert!(!failed.is_empty(), "{role:?} with its multiplier times m^0.5 passes");
    }
    let failed = over_width(Parameterization::Mup, AS_IT_IS, &f64::sqrt);
    assert!(!failed.is_empty(), "attention logits times m^0.5 pass");
}

#[test]
fn the_residual_multiplier_of_completep_is_noticed_when_it_is_wrong() {
    let change = |role, mut rule: Rule, _, l: f64| {
        if role == Role::Residual {
            rule.multiplier *= l;
        }
        rule
    };
    let failed = over_depth(Parameterization::CompleteP, &change);
    println!("{failed:#?}");
    assert!(!failed.is_empty(), "a residual multiplier that ignores depth passes");
}
