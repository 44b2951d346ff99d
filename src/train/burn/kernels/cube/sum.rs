//! Sums in a fixed order: the same bits each time. No kernel here uses an atomic operation.

use cubecl::prelude::*;

/// Units of a cube whose lanes take columns, and parts into which it divides the rows of its columns.
pub const COLUMNS: usize = 32;
const PARTS: usize = 8;
pub const COLUMN_UNITS: usize = COLUMNS * PARTS;

/// The sum of one value of each unit of the cube, known to all of them. Every unit must come here.
#[cube]
pub fn cube_sum(value: f32, #[comptime] units: usize) -> f32 {
    let mut parts = Shared::<[f32]>::new_slice(units);
    let unit = UNIT_POS as usize;
    // Whoever summed before has read the result.
    sync_cube();
    parts[unit] = value;
    let mut half = (units / 2).runtime();
    while half > 0 {
        sync_cube();
        if unit < half {
            let other = parts[unit + half];
            parts[unit] += other;
        }
        half /= 2;
    }
    sync_cube();
    parts[0]
}

/// The largest of one value of each unit of the cube.
#[cube]
pub fn cube_max(value: f32, #[comptime] units: usize) -> f32 {
    let mut parts = Shared::<[f32]>::new_slice(units);
    let unit = UNIT_POS as usize;
    sync_cube();
    parts[unit] = value;
    let mut half = (units / 2).runtime();
    while half > 0 {
        sync_cube();
        if unit < half {
            let other = parts[unit + half];
            if other > parts[unit] {
                parts[unit] = other;
            }
        }
        half /= 2;
    }
    sync_cube();
    parts[0]
}

/// out[c] = factor x sum of x[r, c] over the rows r of `x` `[rows, columns]`. A cube has `COLUMNS` columns; its units take
/// every eighth row each, and their sums are added in order.
#[cube(launch)]
pub fn column_sums(x: &[f32], out: &mut [f32], rows: usize, columns: usize, factor: f32) {
    let mut parts = Shared::<[f32]>::new_slice(COLUMN_UNITS);
    let unit = UNIT_POS as usize;
    let column = CUBE_POS * COLUMNS + unit % COLUMNS;
    let mut sum = 0.0f32;
    if column < columns {
        let mut row = unit / COLUMNS;
        while row < rows {
            sum += x[row * columns + column];
            row += PARTS;
        }
    }
    parts[unit] = sum;
    sync_cube();
    if unit < COLUMNS && column < columns {
        let mut all = 0.0f32;
        for part in 0..PARTS {
            all += parts[part * COLUMNS + unit];
        }
        out[column] = factor * all;
    }
}

/// out[0] = factor x sum of `x`, by one cube.
#[cube(launch)]
pub fn sum_all(x: &[f32], out: &mut [f32], len: usize, factor: f32, #[comptime] units: usize) {
    let mut sum = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < len {
        sum += x[i];
        i += units;
    }
    let sum = cube_sum(sum, units);
    if UNIT_POS == 0 {
        out[0] = factor * sum;
    }
}
