//! Polynomials through points.

/// The polynomial through all points, at `x` (Lagrange's form).
pub fn lagrange(points: &[[f64; 2]], x: f64) -> f64 {
    let weight = |i: usize| -> f64 {
        let others = points.iter().enumerate().filter(|(j, _)| *j != i);
        others.map(|(_, other)| (x - other[0]) / (points[i][0] - other[0])).product()
    };
    points.iter().enumerate().map(|(i, point)| point[1] * weight(i)).sum()
}
