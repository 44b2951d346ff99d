//! The table of optimizers, and each step against its paper's formula written out plainly.

use super::*;

#[test]
fn a_name_in_a_spec_is_the_name_in_the_table() {
    for kind in OptimizerKind::ALL {
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{:?}", kind.part().name));
    }
}

#[test]
fn what_an_optimizer_does_not_step_itself_adamw_steps_and_its_keys_are_read() {
    for kind in OptimizerKind::ALL {
        for role in Role::ALL {
            let own = kind.of(role).part();
            assert!(own.steps.contains(&role), "{} leaves {role:?} alone", kind.part().name);
            assert!(own.keys.iter().all(|key| kind.part().keys.contains(key)), "{} for {role:?}", own.name);
            assert_eq!(own.keeps.first(), Some(&Kept::Value));
        }
    }
}

fn optimizer(kind: OptimizerKind) -> RunOptimizer {
    let number = |key, value| kind.part().keys.contains(&key).then_some(value);
    RunOptimizer {
        kind,
        learning_rate: 0.02,
        batch_sequences: 1,
        beta1: number(Key::Beta1, 0.9),
        beta2: number(Key::Beta2, 0.99),
        epsilon: number(Key::Epsilon, 1e-8),
        momentum: number(Key::Momentum, 0.95),
        weight_decay: 0.1,
        clip_norm: 0.0,
    }
}

/// The base shape, where every factor is 1.
const ROW: Rule = Rule { init_std: 1.0, learning_rate: 1.0, multiplier: 1.0, weight_decay: 1.0, epsilon: 1.0 };

/// Gradient number `step` of the number at a place, as `scripts/reference-optimizers.py` makes it.
fn gradient(step: usize, at: usize) -> f64 {
    ((7 * step + 3 * at) as f64 * 0.7).sin() + 0.1
}

fn begin(at: usize) -> f64 {
    (at as f64 * 0.9).cos()
}

/// A small matrix in f64.
#[derive(Clone, Debug)]
struct Plain {
    rows: usize,
    values: Vec<f64>,
}

impl Plain {
    fn new([rows, columns]: [usize; 2], value: impl Fn(usize) -> f64) -> Self {
        Self { rows, values: (0..rows * columns).map(value).collect() }
    }

    fn with(self, f: impl Fn(f64) -> f64) -> Self {
        Self { values: self.values.into_iter().map(f).collect(), ..self }
    }

    fn both(self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(a, b)| f(*a, *b)).collect();
        Self { values, ..self }
    }

    fn columns(&self) -> usize {
        self.values.len() / self.rows
    }
}

impl std::ops::Add for Plain {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.both(&other, |a, b| a + b)
    }
}

impl std::ops::Mul for Plain {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.both(&other, |a, b| a * b)
    }
}

impl std::ops::Div for Plain {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        self.both(&other, |a, b| a / b)
    }
}

impl Number for Plain {
    fn times(self, factor: f64) -> Self {
        self.with(|x| factor * x)
    }

    fn times_plus(self, factor: f64, other: Self) -> Self {
        self.both(&other, |a, b| factor * a + b)
    }

    fn plus(self, constant: f64) -> Self {
        self.with(|x| x + constant)
    }

    fn root(self) -> Self {
        self.with(f64::sqrt)
    }

    fn sign(self) -> Self {
        self.with(|x| if x == 0.0 { 0.0 } else { x.signum() })
    }
}

impl Matrix for Plain {
    fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns()]
    }

    fn transposed(self) -> Self {
        let [rows, columns] = self.shape();
        Self::new([columns, rows], |at| self.values[at % rows * columns + at / rows])
    }

    fn product(self, other: Self) -> Self {
        let ([rows, inner], columns) = (self.shape(), other.columns());
        let sum = |row: usize, column: usize| -> f64 {
            (0..inner).map(|i| self.values[row * inner + i] * other.values[i * columns + column]).sum()
        };
        Self::new([rows, columns], |at| sum(at / columns, at % columns))
    }

    fn normalized(self) -> Self {
        let norm = self.values.iter().map(|x| x * x).sum::<f64>().sqrt();
        self.with(|x| x / norm)
    }
}

/// A hidden matrix after some steps of an optimizer.
fn trained(kind: OptimizerKind, shape: [usize; 2], steps: usize) -> Vec<f64> {
    let optimizer = optimizer(kind);
    let zeros = || Plain::new(shape, |_| 0.0);
    let (mut value, mut first, mut second) = (Plain::new(shape, begin), zeros(), zeros());
    for step in 1..=steps {
        let update = optimizer.update(Role::Hidden, &ROW, i32::try_from(step).unwrap(), 1.0);
        let gradient = Plain::new(shape, |at| gradient(step, at));
        match kind {
            OptimizerKind::Adamw => [value, first, second] = adamw::step([value, first, second], gradient, &update),
            OptimizerKind::Sgd => [value, first] = sgd::step([value, first], gradient, &update),
            OptimizerKind::Lion => [value, first] = lion::step([value, first], gradient, &update),
            OptimizerKind::Muon => [value, first] = muon::step([value, first], gradient, &update),
        }
    }
    value.values
}

/// Weights of PyTorch's optimizers after the same gradients: `scripts/reference-optimizers.py` wrote them.
#[derive(Deserialize)]
struct Reference {
    optimizer: OptimizerKind,
    shape: [usize; 2],
    steps: usize,
    values: Vec<f64>,
}

#[test]
fn steps_are_those_of_pytorch() {
    let references: Vec<Reference> = serde_json::from_str(include_str!("reference.json")).unwrap();
    for Reference { optimizer, shape, steps, values } in &references {
        let ours = trained(*optimizer, *shape, *steps);
        assert_eq!(ours.len(), values.len());
        let moved = |(at, value): (usize, &f64)| (value - begin(at)).abs();
        assert!(ours.iter().enumerate().map(moved).sum::<f64>() > 0.05, "{optimizer:?} moves nothing");
        for (at, (ours, theirs)) in ours.into_iter().zip(values).enumerate() {
            assert!((ours - theirs).abs() < 1e-6, "{optimizer:?} {shape:?}, number {at}: {ours} and {theirs}");
        }
    }
    let has = |kind| references.iter().any(|reference| reference.optimizer == kind);
    assert!(OptimizerKind::ALL.into_iter().all(has), "every optimizer has a reference");
}

/// What is left of a direction is its share of the polynomial, iterated, whatever the other directions are.
#[test]
fn muon_brings_every_singular_value_near_one_and_leaves_directions_alone() {
    for shape in [[2, 2], [2, 3], [3, 2]] {
        // Two directions along the axes, of singular values 3 and 0.2.
        let momentum = Plain::new(shape, |at| match at {
            0 => 3.0,
            _ if at == shape[1] + 1 => 0.2,
            _ => 0.0,
        });
        let update = Update { beta1: 0.0, beta2: 0.0, epsilon: 0.0, rate: 1.0, second_correction: 1.0, keep: 0.0 };
        let zeros = || Plain::new(shape, |_| 0.0);
        let [stepped, _] = muon::step([zeros(), zeros()], momentum, &update);
        let scale = -0.2 * (shape[0].max(shape[1]) as f64).sqrt();
        for (at, value) in stepped.values.into_iter().enumerate() {
            let along = at == 0 || at == shape[1] + 1;
            let value = value / scale;
            assert!(if along { (0.6..1.3).contains(&value) } else { value.abs() < 1e-12 }, "{shape:?} {at}: {value}");
        }
    }
}

#[test]
fn a_number_of_zero_has_no_sign_and_lion_leaves_it_alone() {
    assert_eq!([-2.0, 0.0, 3.0].map(|x: f32| Number::sign(x) as i32), [-1, 0, 1]);
    let update = optimizer(OptimizerKind::Lion).update(Role::Hidden, &Rule { weight_decay: 0.0, ..ROW }, 1, 1.0);
    assert_eq!(lion::step([0.5_f32, 0.0], 0.0, &update).map(f32::to_bits), [0.5_f32, 0.0].map(f32::to_bits));
}
