//! What launches share: tensors in order, room for results, and how many cubes of how many units.

use burn::backend::tensor::IntTensor;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use cubecl::server::CubeCountSelection;

/// A tensor whose elements lie in order.
pub(super) fn packed(x: CubeTensor) -> CubeTensor {
    into_contiguous(x)
}

/// Token ids in the width that the kernels use.
pub(super) fn ids(x: IntTensor<CubeBackend>) -> CubeTensor {
    assert!(x.dtype == DType::I32, "token ids are uploaded as i32, not {:?}", x.dtype);
    packed(x)
}

/// Rows and columns.
pub(super) fn dims(x: &CubeTensor) -> [usize; 2] {
    [x.meta.shape()[0], x.meta.shape()[1]]
}

/// Room for numbers beside `like`.
pub(super) fn room(like: &CubeTensor, shape: impl Into<Vec<usize>>) -> CubeTensor {
    let shape = Shape::from(shape.into());
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape, DType::F32)
}

/// So many cubes, spread over the dimensions that the device has.
pub(super) fn cubes(like: &CubeTensor, count: usize) -> CubeCount {
    CubeCountSelection::new(&like.client, count as u32).cube_count()
}

/// Cubes of so many units.
pub(super) fn units(count: usize) -> CubeDim {
    CubeDim::new_1d(count as u32)
}

/// Units of a cube where each has one element.
pub(super) const ELEMENTWISE: usize = 256;
