//! The initial weights of a model, as numbers: the same on every device.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use crate::model::{Group, Weight};
use crate::parameterization::{Role, Rule, Rules};
use crate::plan::Run;

/// A weight as it is drawn.
#[cfg_attr(not(feature = "burn"), allow(dead_code))] // one flat buffer has no use for names and shapes
pub struct Drawn {
    /// Name, as in `blocks.2.qkv`.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Its row of the table.
    pub rule: Rule,
    /// Inputs and outputs.
    pub shape: [usize; 2],
    /// Values, a row of outputs for each input.
    pub values: Vec<f32>,
}

/// All weights of the model of `run` under `rules`, in the order of [`crate::model::Shape::weights`]. Each is drawn from a
/// stream of its own of the run's seed, so that none depends on the sizes of those before it.
pub fn weights<'a>(run: &'a Run, rules: &'a dyn Rules) -> impl Iterator<Item = Drawn> + 'a {
    let draw = move |(stream, weight): (usize, Weight)| {
        let zeros = zero_columns(run, &weight);
        let Weight { name, group, role, shape, mean, .. } = weight;
        let rule = rules.rule(role, shape[0]);
        let own = run.embedding_std.filter(|_| group == Group::Embedding);
        let init_std = own.unwrap_or(rule.init_std);
        let mut generator = ChaCha8Rng::seed_from_u64(run.seed);
        generator.set_stream(stream as u64);
        let drawn = StandardNormal.sample_iter(&mut generator).map(|x: f64| (mean + x * init_std) as f32);
        let begin = |(i, x)| if i % shape[1] < zeros { 0.0 } else { x };
        let values = drawn.take(shape[0] * shape[1]).enumerate().map(begin).collect();
        Drawn { name, role, rule, shape, values }
    };
    run.shape.weights().into_iter().enumerate().map(draw)
}

/// How many of a weight's first columns begin at zero.
fn zero_columns(run: &Run, weight: &Weight) -> usize {
    match weight.group {
        Group::Unembedding if run.zero_init_unembedding => weight.shape[1],
        _ if run.zero_init_query => weight.queries,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing;

    #[test]
    fn the_embedding_begins_with_the_deviation_that_the_spec_names() {
        let drawn = |own: Option<f64>| {
            let run = testing::small(|spec| spec.model.embedding_std = own).run;
            let table = run.table();
            weights(&run, &table).map(|drawn| drawn.values).collect::<Vec<_>>()
        };
        let (first, own) = (drawn(None), drawn(Some(0.04)));
        assert!(first[0].iter().zip(&own[0]).all(|(a, b)| (2.0 * a - b).abs() < 1e-7), "twice the table's");
        assert_eq!(first[1..], own[1..], "and nothing else");
    }
}
