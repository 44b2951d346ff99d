//! What the approaches need at least.

/// Sizes of a budget through which a parabola is fitted.
pub const CURVE_SIZES: usize = 4;

/// Budgets through which a power law is fitted.
pub const LAW_BUDGETS: usize = 3;

/// Runs, sizes and lengths to which a surface is fitted: two exponents need three values of each.
pub const SURFACE: [usize; 3] = [6, 3, 3];
/// Runs from which a surface may contradict one of them.
pub const CONTRADICTING: usize = 12;
