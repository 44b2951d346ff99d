//! The order of rows of numbers.

use std::cmp::Ordering;

/// By the first number in which two rows differ.
pub fn by_first_difference<const N: usize>(a: &[f64; N], b: &[f64; N]) -> Ordering {
    a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}
