//! The optimizer's step, launched: some weights at a time, as many as the device can bind.

use burn::backend::{BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind};
use burn::tensor::{Tensor, TensorData};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::adamw as kernels;
use super::launch::{cubes, packed, room, units};
use crate::optimizer::Update;

/// What burn's tensor holds on the device.
fn primitive(tensor: Tensor<2>) -> CubeTensor {
    match tensor.into_dispatch().kind {
        DispatchTensorKind::Cube(tensor) => packed(tensor.float()),
        #[allow(unreachable_patterns)]
        other => unreachable!("the optimizer of wgpu was given {other:?}"),
    }
}

fn tensor(primitive: CubeTensor) -> Tensor<2> {
    let kind = DispatchTensorKind::Cube(BackendTensor::Float(primitive));
    Tensor::from_dispatch(DispatchTensor { kind, autodiff: DispatchAutodiffContext::Disabled })
}

/// A weight's number that is changed where it lies, unless somebody else holds it too.
fn own(tensor: Tensor<2>) -> CubeTensor {
    let tensor = primitive(tensor);
    if tensor.can_mut() { tensor } else { tensor.copy() }
}

/// How many elements there are.
fn len(x: &CubeTensor) -> usize {
    x.meta.shape().num_elements()
}

/// Cubes of so many tensors.
fn pieces(tensors: &[CubeTensor]) -> usize {
    tensors.iter().map(|tensor| len(tensor).div_ceil(kernels::PIECE)).sum()
}

/// Their buffers as one argument, and their lengths.
fn buffers(tensors: &[CubeTensor]) -> SequenceArg<Box<[f32]>> {
    tensors.iter().map(|tensor| tensor.clone().into_buffer_arg()).collect()
}

fn lens(tensors: &[CubeTensor]) -> SequenceArg<usize> {
    tensors.iter().map(len).collect()
}

/// Weights of one launch that binds so many buffers of each, and a few more.
fn at_once(like: &CubeTensor, of_each: usize) -> usize {
    let bindings = like.client.properties().hardware.max_bindings as usize;
    (bindings.saturating_sub(3) / of_each).clamp(1, kernels::MOST_WEIGHTS)
}

/// One AdamW step of value, first and second moment of each weight, from gradients whose common norm is brought down to
/// `limit`, if that is above 0.
pub fn adamw_all(
    states: Vec<[Tensor<2>; 3]>,
    gradients: Vec<Tensor<2>>,
    limit: f64,
    updates: &[Update],
) -> Vec<[Tensor<2>; 3]> {
    let gradients: Vec<CubeTensor> = gradients.into_iter().map(primitive).collect();
    let states: Vec<[CubeTensor; 3]> = states.into_iter().map(|state| state.map(own)).collect();
    let like = &gradients[0];
    let clip = clip(&gradients, limit);
    let rates: Vec<f32> = updates.iter().flat_map(|u| [u.rate, u.keep, u.epsilon].map(|x| x as f32)).collect();
    let rates = from_host::<CubeBackend>(rates, like);
    let many = at_once(like, 4);
    for (group, (states, gradients)) in states.chunks(many).zip(gradients.chunks(many)).enumerate() {
        let [values, firsts, seconds] = [0, 1, 2].map(|part| {
            let tensors: Vec<CubeTensor> = states.iter().map(|state| state[part].clone()).collect();
            buffers(&tensors)
        });
        let Update { beta1, beta2, second_correction, .. } = updates[0];
        kernels::step::launch(
            &like.client,
            cubes(like, pieces(gradients)),
            units(kernels::UNITS),
            values,
            firsts,
            seconds,
            buffers(gradients),
            lens(gradients),
            rates.clone().into_buffer_arg(),
            clip.clone().into_buffer_arg(),
            group * many,
            beta1 as f32,
            beta2 as f32,
            second_correction as f32,
        );
    }
    states.into_iter().map(|state| state.map(tensor)).collect()
}

/// The factor `[1]` on all gradients.
fn clip(gradients: &[CubeTensor], limit: f64) -> CubeTensor {
    let like = &gradients[0];
    if limit <= 0.0 {
        return from_host::<CubeBackend>(vec![1.0], like);
    }
    let (partials, clip) = (room(like, [pieces(gradients)]), room(like, [1]));
    let mut first = 0;
    for gradients in gradients.chunks(at_once(like, 1)) {
        let count = pieces(gradients);
        kernels::squares::launch(
            &like.client,
            cubes(like, count),
            units(kernels::UNITS),
            buffers(gradients),
            lens(gradients),
            partials.clone().into_buffer_arg(),
            first,
            count,
        );
        first += count;
    }
    kernels::clip_factor::launch(
        &like.client,
        CubeCount::Static(1, 1, 1),
        units(kernels::UNITS),
        partials.into_buffer_arg(),
        clip.clone().into_buffer_arg(),
        first,
        limit as f32,
    );
    clip
}

/// Numbers on the device of a tensor.
fn from_host<B: burn::backend::Backend<Device = burn_cubecl::CubeDevice>>(
    values: Vec<f32>,
    like: &CubeTensor,
) -> B::FloatTensorPrimitive {
    let len = values.len();
    B::float_from_data(TensorData::new(values, [len]), &like.device)
}
