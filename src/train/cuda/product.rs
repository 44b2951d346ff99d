//! Products of matrices: by the maker's library, or by our own kernel where there is none.

use super::gpu::{Address, Factor, Gpu, Launch, Number, Product};
use super::launch::{TILE, extent, int, launch};
use crate::trainer::TrainError;

/// A product by the library, or by our own kernel where there is none.
pub fn multiply(gpu: &dyn Gpu, product: &Product) -> Result<(), TrainError> {
    if gpu.product(product)? {
        return Ok(());
    }
    gpu.launch(&own(product))
}

/// A factor as it lies.
pub fn plain(at: Address) -> Factor {
    Factor { at, transposed: false }
}

/// The transpose of what lies there.
pub fn turned(at: Address) -> Factor {
    Factor { at, transposed: true }
}

/// Our own product.
fn own(product: &Product) -> Launch {
    let Product { a, b, out, size: [m, n, k], factors, result, tf32, alpha, beta, runs } = *product;
    let name = match (factors, result) {
        (Number::F32, _) if tf32 => "product_tf32_f32",
        (Number::F32, _) => "product_f32_f32",
        (Number::Bf16, Number::Bf16) => "product_bf16_bf16",
        (Number::Bf16, Number::F32) => "product_bf16_f32",
    };
    let arguments = vec![
        a.at.into(),
        b.at.into(),
        out.into(),
        int(m),
        int(n),
        int(k),
        int(usize::from(a.transposed)),
        int(usize::from(b.transposed)),
        alpha.into(),
        beta.into(),
    ];
    let grid = [extent(n.div_ceil(TILE)), extent(m.div_ceil(TILE))];
    Launch { runs, ..launch(name, grid, 128, arguments) }
}
