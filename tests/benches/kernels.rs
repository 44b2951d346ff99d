//! The kernels of the CPU beside the composed operations, forward and backward, at the shapes of the benchmark's models:
//! `cargo bench`. One thread, as each slot of a sweep.

use std::hint::black_box;

use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use runner::model::{Parts, Shape};
use runner::spec::Precision;
use runner::train::burn::ops::Ops;
use runner::train::burn::positions::Positions;

/// Width, heads, context, vocabulary and sequences of the models a, b and c.
const MODELS: [(&str, [usize; 5]); 3] =
    [("a", [64, 2, 128, 512, 32]), ("b", [128, 4, 256, 2048, 16]), ("c", [256, 8, 256, 4096, 16])];

fn device() -> Device {
    Device::flex().autodiff()
}

fn random(shape: [usize; 2]) -> Tensor<2> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device())
}

/// Token ids `[n]`, each as often as any other.
fn ids(n: usize, vocab: usize) -> Tensor<1, Int> {
    let ids: Vec<i32> = (0..i32::try_from(vocab).expect("a vocabulary")).cycle().take(n).collect();
    Tensor::from_data(TensorData::new(ids, [n]), &device())
}

/// Value and gradient of `op`, which takes a matrix to a matrix.
fn both_ways(
    criterion: &mut Criterion,
    name: &str,
    input: &dyn Fn([usize; 5]) -> [usize; 2],
    op: &dyn Fn(Ops, Tensor<2>, [usize; 5]) -> Tensor<2>,
) {
    let mut group = criterion.benchmark_group(name);
    for (model, shape) in MODELS {
        let x = random(input(shape));
        for ops in [Ops::Fused, Ops::Composed] {
            group.bench_function(BenchmarkId::new(format!("{ops:?}"), model), |bencher| {
                bencher.iter(|| {
                    let x = x.clone().require_grad();
                    let y = op(ops, x.clone(), shape);
                    black_box(x.grad(&y.sum().backward()));
                });
            });
        }
    }
}

fn kernels(criterion: &mut Criterion) {
    let _ = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global();
    let rows = |[_, _, context, _, batch]: [usize; 5]| context * batch;
    both_ways(criterion, "rms_norm", &|shape| [rows(shape), shape[0]], &|ops, x, shape| {
        ops.rms_norm(x, Tensor::ones([1, shape[0]], &device()))
    });
    both_ways(criterion, "gelu", &|shape| [rows(shape), 4 * shape[0]], &|ops, x, _| ops.gelu(x));
    both_ways(criterion, "attention", &|shape| [rows(shape), 3 * shape[0]], &|ops, x, [d, heads, context, ..]| {
        let shape = Shape { width: d, depth: 1, heads, context, vocab: 1, parts: Parts::FIRST };
        let positions = Positions::new(&shape, &device());
        ops.attention(x, heads, &positions, ((d / heads) as f64).sqrt().recip())
    });
    both_ways(criterion, "mean_loss", &|shape| [rows(shape), shape[0]], &|ops, x, [d, _, _, vocab, _]| {
        let targets = ids(x.dims()[0], vocab);
        ops.mean_loss(x, random([d, vocab]), 1.0, targets, Precision::F32).unsqueeze()
    });
    both_ways(criterion, "embed", &|shape| [shape[3], shape[0]], &|ops, table, shape| {
        ops.embed(table, ids(rows(shape), shape[3]))
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = kernels
}
criterion_main!(benches);
