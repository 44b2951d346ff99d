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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::cuda::gpu::Runs;
    use crate::train::cuda::testing::card;

    /// Sums of so many ones, whose last terms some algorithms of cuBLASLt were seen to leave out.
    #[test]
    fn a_long_sum_has_all_its_terms() {
        let Some(card) = card() else { return };
        let gpu = card.gpu.as_ref();
        // On an emulated card sums of a few numbers are enough to wait for.
        let sizes: &[[usize; 3]] = if gpu.library().is_some() {
            &[[1, 8, 11_528], [64, 64, 11_528], [128, 128, 11_528]]
        } else {
            &[[1, 8, 11_528]]
        };
        for &[m, n, k] in sizes {
            let ones = |count: usize| {
                let at = gpu.allocate(2 * count).unwrap();
                gpu.upload(at, &0x3f80_u16.to_le_bytes().repeat(count)).unwrap();
                at
            };
            let (a, b, out) = (ones(m * k), ones(k * n), gpu.allocate(4 * m * n).unwrap());
            let product = Product {
                a: plain(a),
                b: plain(b),
                out,
                size: [m, n, k],
                factors: Number::Bf16,
                result: Number::F32,
                tf32: false,
                alpha: 1.0,
                beta: 0.0,
                runs: Runs::ONE,
            };
            multiply(gpu, &product).unwrap();
            let mut bytes = vec![0; 4 * m * n];
            gpu.download(out, &mut bytes).unwrap();
            let sums = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
            assert!(sums.into_iter().all(|sum| sum.to_bits() == (k as f32).to_bits()), "{m} x {n} sums of {k} ones");
            for at in [a, b, out] {
                gpu.free(at);
            }
        }
    }
}
