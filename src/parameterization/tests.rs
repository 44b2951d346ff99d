//! The table against numbers written down from the papers, and properties that hold at every shape.

use proptest::prelude::*;

use super::Parameterization::{CompleteP, Mup, Standard};
use super::*;

fn table(parameterization: Parameterization, [width, depth, head_dim]: [usize; 3]) -> Table {
    let scale = Scale { width, base_width: 64, depth, base_depth: 4, head_dim, base_head_dim: 16 };
    Table { parameterization, scale }
}

/// Inputs of a weight of a role; the residual one is the MLP's second matrix.
fn fan_in(role: Role, width: usize) -> usize {
    match role {
        Role::Embedding => 512,
        Role::Hidden | Role::Unembedding | Role::Router => width,
        Role::Residual => 4 * width,
        Role::BlockGain | Role::HeadGain | Role::FinalGain => 1,
    }
}

fn row(parameterization: Parameterization, role: Role, shape: [usize; 3]) -> [f64; 5] {
    let Rule { init_std, learning_rate, multiplier, weight_decay, epsilon } =
        table(parameterization, shape).rule(role, fan_in(role, shape[0]));
    [init_std, learning_rate, multiplier, weight_decay, epsilon]
}

#[track_caller]
fn assert_row(parameterization: Parameterization, role: Role, shape: [usize; 3], expected: [f64; 5]) {
    let found = row(parameterization, role, shape);
    for (found, expected) in found.into_iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{parameterization:?} {role:?} {shape:?}: {found}");
    }
}

#[test]
fn the_standard_parameterization_is_fan_in_with_one_learning_rate_at_every_shape() {
    // 1/sqrt(256) = 0.0625; 1/sqrt(1024) / sqrt(2 x 8) = 1/128.
    let shape = [256, 8, 16];
    assert_row(Standard, Role::Embedding, shape, [0.02, 1.0, 1.0, 1.0, 1.0]);
    assert_row(Standard, Role::Hidden, shape, [0.0625, 1.0, 1.0, 1.0, 1.0]);
    assert_row(Standard, Role::Residual, shape, [0.007_812_5, 1.0, 1.0, 1.0, 1.0]);
    assert_row(Standard, Role::Unembedding, shape, [0.0625, 1.0, 1.0, 1.0, 1.0]);
    assert_row(Standard, Role::Router, shape, [0.0625, 1.0, 1.0, 1.0, 1.0]);
    assert_row(Standard, Role::BlockGain, shape, [0.0, 1.0, 1.0, 0.0, 1.0]);
    assert_row(Standard, Role::HeadGain, shape, [0.0, 1.0, 1.0, 0.0, 1.0]);
    assert_row(Standard, Role::FinalGain, shape, [0.0, 1.0, 1.0, 0.0, 1.0]);
}

/// Tensor Programs V, table 8 with Adam, n inputs: hidden variance 1/n and rate 1/n, output variance constant with
/// multiplier 1/n and constant rate, input and vector weights constant; all over their values at the base width.
#[test]
fn mup_is_table_8_of_tensor_programs_v_at_four_times_and_half_the_base_width() {
    let wide = [256, 8, 16];
    assert_row(Mup, Role::Embedding, wide, [0.02, 1.0, 1.0, 1.0, 0.25]);
    assert_row(Mup, Role::Hidden, wide, [0.0625, 0.25, 1.0, 4.0, 0.25]);
    assert_row(Mup, Role::Residual, wide, [0.007_812_5, 0.25, 1.0, 4.0, 0.25]);
    assert_row(Mup, Role::Unembedding, wide, [0.125, 1.0, 0.25, 1.0, 0.25]);
    assert_row(Mup, Role::Router, wide, [0.125, 1.0, 0.25, 1.0, 0.25]);
    assert_row(Mup, Role::BlockGain, wide, [0.0, 1.0, 1.0, 0.0, 0.25]);
    // Four times the heads: the sum over them does not shrink.
    assert_row(Mup, Role::HeadGain, wide, [0.0, 1.0, 1.0, 0.0, 1.0]);
    assert_row(Mup, Role::FinalGain, wide, [0.0, 1.0, 1.0, 0.0, 0.25]);
    let narrow = [32, 4, 16];
    assert_row(Mup, Role::Hidden, narrow, [0.176_776_695_296_636_9, 2.0, 1.0, 0.5, 2.0]);
    assert_row(Mup, Role::Unembedding, narrow, [0.125, 1.0, 2.0, 1.0, 2.0]);
}

/// `CompleteP`, table 1 with alpha = 1: branch multiplier 1/l, rates without l, epsilon of blocks 1/(m l).
#[test]
fn completep_is_its_papers_table_at_four_times_the_width_and_twice_the_depth() {
    let shape = [256, 8, 16];
    assert_row(CompleteP, Role::Embedding, shape, [0.02, 1.0, 1.0, 1.0, 0.25]);
    assert_row(CompleteP, Role::Hidden, shape, [0.0625, 0.25, 1.0, 4.0, 0.125]);
    // 1/sqrt(1024) / sqrt(2 x 4): the base depth's.
    assert_row(CompleteP, Role::Residual, shape, [0.011_048_543_456_039_806, 0.25, 0.5, 4.0, 0.125]);
    assert_row(CompleteP, Role::Unembedding, shape, [0.125, 1.0, 0.25, 1.0, 0.25]);
    // Behind a branch that is multiplied by 1/l.
    assert_row(CompleteP, Role::Router, shape, [0.125, 1.0, 0.25, 1.0, 0.125]);
    assert_row(CompleteP, Role::BlockGain, shape, [0.0, 1.0, 1.0, 0.0, 0.125]);
    assert_row(CompleteP, Role::HeadGain, shape, [0.0, 1.0, 1.0, 0.0, 0.5]);
    assert_row(CompleteP, Role::FinalGain, shape, [0.0, 1.0, 1.0, 0.0, 0.25]);
}

#[test]
fn attention_is_divided_by_the_root_of_the_head_size_and_in_mup_by_the_head_size() {
    // 1/sqrt(64) = 0.125; sqrt(16)/64 = 0.0625.
    for (parameterization, expected) in [(Standard, 0.125), (Mup, 0.0625), (CompleteP, 0.0625)] {
        let found = table(parameterization, [256, 4, 64]).attention_scale();
        assert!((found - expected).abs() < 1e-15, "{parameterization:?}: {found}");
    }
}

#[test]
fn every_parameterization_is_known_by_its_name_in_specs() {
    for parameterization in Parameterization::ALL {
        assert_eq!(serde_json::to_value(parameterization).unwrap(), parameterization.name());
    }
}

fn shapes() -> impl Strategy<Value = Scale> {
    (1..100_usize, 1..100_usize, 1..60_usize, 1..60_usize, 1..65_usize, 1..65_usize).prop_map(
        |(w, bw, d, bd, h, bh)| {
            let [width, base_width, head_dim, base_head_dim] = [8 * w, 8 * bw, 2 * h, 2 * bh];
            Scale { width, base_width, depth: d, base_depth: bd, head_dim, base_head_dim }
        },
    )
}

proptest! {
    #[test]
    fn at_the_base_shape_all_parameterizations_agree_to_the_bit(scale in shapes()) {
        let Scale { width, depth, head_dim, .. } = scale;
        let scale = Scale { base_width: width, base_depth: depth, base_head_dim: head_dim, ..scale };
        let standard = Table { parameterization: Standard, scale };
        for parameterization in Parameterization::ALL {
            let other = Table { parameterization, scale };
            for role in Role::ALL {
                let fan_in = fan_in(role, width);
                prop_assert_eq!(standard.rule(role, fan_in), other.rule(role, fan_in));
            }
            prop_assert_eq!(standard.attention_scale().to_bits(), other.attention_scale().to_bits());
        }
    }

    /// A base shape that the table does not look at must not make a run another one.
    #[test]
    fn the_table_looks_only_at_the_base_shape_that_it_says_it_reads(scale in shapes(), other in shapes()) {
        for parameterization in Parameterization::ALL {
            let mut changed = scale;
            if !parameterization.reads_base_width() {
                changed = Scale { base_width: other.base_width, base_head_dim: other.base_head_dim, ..changed };
            }
            if !parameterization.reads_base_depth() {
                changed.base_depth = other.base_depth;
            }
            let [before, after] = [scale, changed].map(|scale| Table { parameterization, scale });
            for role in Role::ALL {
                prop_assert_eq!(before.rule(role, 64), after.rule(role, 64));
            }
            prop_assert_eq!(before.attention_scale().to_bits(), after.attention_scale().to_bits());
        }
    }

    #[test]
    fn the_learning_rate_of_vector_like_weights_is_the_same_at_every_shape(scale in shapes()) {
        for parameterization in Parameterization::ALL {
            let table = Table { parameterization, scale };
            for role in [Role::Embedding, Role::BlockGain, Role::HeadGain, Role::FinalGain] {
                let Rule { learning_rate, multiplier, .. } = table.rule(role, fan_in(role, scale.width));
                prop_assert_eq!((learning_rate, multiplier), (1.0, 1.0));
            }
        }
    }

    /// What a step takes away is rate x decay: it must not fade with width, which a coordinate check cannot see.
    #[test]
    fn the_effective_weight_decay_of_matrices_is_the_same_at_every_shape(scale in shapes()) {
        for parameterization in Parameterization::ALL {
            for role in [Role::Embedding, Role::Hidden, Role::Residual, Role::Unembedding, Role::Router] {
                let Rule { learning_rate, weight_decay, .. } = Table { parameterization, scale }.rule(role, 64);
                prop_assert!((learning_rate * weight_decay - 1.0).abs() < 1e-12);
            }
        }
    }
}

/// Learning rate and decay of an optimizer of a stride.
fn strided(parameterization: Parameterization, role: Role, stride: Stride, shape: [usize; 3]) -> (f64, f64) {
    let rule = table(parameterization, shape).rule(role, fan_in(role, shape[0])).striding(stride);
    (rule.learning_rate, rule.weight_decay)
}

/// Tensor Programs V, table 8 with SGD, n inputs and m outputs: hidden rate constant, rates of inputs and vectors m, rate of
/// outputs n; all over their values at the base width. A branch that is multiplied by 1/l has gradients as much smaller.
#[test]
fn sgd_has_the_rates_of_table_8_of_tensor_programs_v_and_gradients_behind_a_branch_are_made_up_for() {
    use Role::{BlockGain, Embedding, FinalGain, Hidden, Residual, Unembedding};
    let shape = [256, 8, 16]; // m = 4, l = 2
    let rates = |parameterization, expected: [(Role, (f64, f64)); 6]| {
        for (role, expected) in expected {
            assert_eq!(
                strided(parameterization, role, Stride::Gradient, shape),
                expected,
                "{parameterization:?} {role:?}"
            );
        }
    };
    let plain = [(BlockGain, (1.0, 0.0)), (FinalGain, (1.0, 0.0))];
    let ones = [Embedding, Hidden, Residual, Unembedding].map(|role| (role, (1.0, 1.0)));
    rates(Standard, [ones[0], ones[1], ones[2], ones[3], plain[0], plain[1]]);
    let vector = [(Embedding, (4.0, 0.25)), (Unembedding, (4.0, 0.25)), (FinalGain, (4.0, 0.0))];
    let hidden = |rate: f64| [Hidden, Residual].map(|role| (role, (rate, 1.0 / rate)));
    let [a, b] = hidden(1.0);
    rates(Mup, [vector[0], vector[1], vector[2], a, b, (BlockGain, (4.0, 0.0))]);
    let [a, b] = hidden(2.0);
    rates(CompleteP, [vector[0], vector[1], vector[2], a, b, (BlockGain, (8.0, 0.0))]);
    // A router is an output in muP, and its branch shrinks its gradient; gains that heads share are no vectors of the width.
    for (role, in_mup, in_completep) in
        [(Role::Router, (4.0, 0.25), (8.0, 0.125)), (Role::HeadGain, (1.0, 0.0), (2.0, 0.0))]
    {
        assert_eq!(strided(Mup, role, Stride::Gradient, shape), in_mup, "{role:?}");
        assert_eq!(strided(CompleteP, role, Stride::Gradient, shape), in_completep, "{role:?}");
    }
}

/// Yang et al. 2023: the spectral norm of a step has to be the same at every width. Four times the width at the same root
/// mean square doubles that of an orthogonal matrix.
#[test]
fn the_spectral_norm_of_an_orthogonal_step_stays_the_same_with_width() {
    for role in [Role::Hidden, Role::Residual] {
        assert_eq!(strided(Standard, role, Stride::Orthogonal, [256, 8, 16]), (1.0, 1.0));
        for parameterization in [Mup, CompleteP] {
            let (rate, decay) = strided(parameterization, role, Stride::Orthogonal, [256, 8, 16]);
            let norm = rate * 256_f64.sqrt();
            assert_eq!((norm, decay), (64_f64.sqrt(), 2.0), "{parameterization:?} {role:?}");
        }
    }
}

#[test]
fn the_page_of_parameterizations_links_to_the_line_of_every_rule() {
    let lines: Vec<&str> = include_str!("../parameterization.rs").lines().collect();
    let page = include_str!("../../docs/parameterizations.md");
    let rows = page.split("## The rules").nth(1).unwrap().lines().filter(|line| line.contains("#L"));
    assert_eq!(rows.clone().count(), 24, "the table and its rules");
    let mut role = String::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let number: usize = row.split("#L").nth(1).unwrap().split(')').next().unwrap().parse().unwrap();
        let line = lines[number - 1];
        if cells.len() < 3 {
            assert!(line.contains("pub fn rule"), "the table begins elsewhere: {line}");
            continue;
        }
        if !cells[1].is_empty() {
            cells[1].clone_into(&mut role);
        }
        let named = match role.as_str() {
            "embedding" => "Embedding",
            "hidden" => "Hidden",
            "residual" => "Residual",
            "unembedding" => "Unembedding",
            "router" => "Router",
            "gains" => "BlockGain",
            "gains of queries and keys" => "HeadGain",
            "attention" => "fn attention_scale",
            other => panic!("no role is called {other}"),
        };
        let parameterization =
            ["standard", "muP", "CompleteP"].into_iter().find(|name| cells[2].contains(&format!("[{name}")));
        let expected = parameterization.unwrap().replace("standard", "Standard").replace("muP", "Mup");
        assert!(line.contains(named), "line {number}: {line}");
        assert!(named.starts_with("fn ") || line.contains(&expected), "line {number}: {line}");
    }
}
