//! Token embedding: rows by id, and the sum of gradients by id.

use cubecl::prelude::*;

/// Units of a cube of the backward pass, rows that one of them looks at, and those of a cube.
pub const UNITS: usize = 256;
const MINE: usize = 8;
const TILE: usize = UNITS * MINE;

/// Floats of sums that a cube keeps, and most ids that it has.
const SUMS: usize = 2048;
const MOST_IDS: usize = 8;

/// Ids of one cube: as many as their sums have room for.
pub fn ids_of_a_cube(d: usize) -> usize {
    (SUMS / d).clamp(1, MOST_IDS)
}

/// y[row] = table[ids[row]].
#[cube(launch)]
pub fn forward(table: &[f32], ids: &[i32], y: &mut [f32], len: usize, d: usize) {
    let i = ABSOLUTE_POS;
    if i < len {
        y[i] = table[ids[i / d] as usize * d + i % d];
    }
}

/// Which of this unit's rows of a tile have an id of the cube, a bit each.
#[cube]
fn noted_here(ids: &[i32], begin: usize, rows: usize, first: usize, #[comptime] few: usize) -> u32 {
    let mut mask = 0u32.runtime();
    #[unroll]
    for k in 0..MINE {
        let row = begin + UNIT_POS as usize * MINE + k;
        if row < rows {
            let id = ids[row] as usize;
            if id >= first && id < first + few {
                mask |= comptime!(1u32 << (k as u32));
            }
        }
    }
    mask
}

/// grad_table[id] = sum of grad[row] over the rows of that id, in their order.
///
///   for each row: grad_table[ids[row]] += grad[row]
///
/// A cube has `few` ids. Its units look through all rows, eight each at a time, and note those that are the cube's; then all
/// of them go through what was noted, and each adds the channels that are its own. Nothing is sorted, and no sum depends on
/// who comes first.
#[cube(launch)]
pub fn backward(
    ids: &[i32],
    grad: &[f32],
    grad_table: &mut [f32],
    rows: usize,
    vocab: usize,
    #[comptime] d: usize,
    #[comptime] few: usize,
) {
    let mut sums = Shared::<[f32]>::new_slice(comptime!(few * d));
    let mut noted = Shared::<[u32]>::new_slice(UNITS);
    let unit = UNIT_POS as usize;
    let first = CUBE_POS * few;
    if first >= vocab {
        terminate!();
    }
    let mut i = unit;
    while i < few * d {
        sums[i] = 0.0f32;
        i += UNITS;
    }
    let mut begin = 0usize.runtime();
    while begin < rows {
        let mask = noted_here(ids, begin, rows, first, few);
        // All have gone through what was noted before.
        sync_cube();
        noted[unit] = mask;
        sync_cube();
        for who in 0..UNITS {
            let mask = noted[who];
            if mask != 0u32 {
                #[unroll]
                for k in 0..MINE {
                    if mask & comptime!(1u32 << (k as u32)) != 0u32 {
                        let row = begin + who * MINE + k;
                        let to = (ids[row] as usize - first) * d;
                        let mut i = unit;
                        while i < d {
                            sums[to + i] += grad[row * d + i];
                            i += UNITS;
                        }
                    }
                }
            }
        }
        begin += TILE;
    }
    // A unit writes the channels that it added.
    let mut i = unit;
    while i < d {
        for id in 0..few {
            if first + id < vocab {
                grad_table[(first + id) * d + i] = sums[id * d + i];
            }
        }
        i += UNITS;
    }
}
