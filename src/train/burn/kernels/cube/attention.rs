//! Causal attention with rotary positions (Su et al. 2021, arXiv 2104.09864), in tiles, so that no matrix of context x context
//! is kept (Dao et al. 2022, arXiv 2205.14135).
//!
//! `qkv` `[rows, 3 d]` has queries, keys and values of all heads beside each other; a head has k = d / heads channels.
//! Queries and keys are turned by the angle of their position as they are read: with a = x[c], b = x[c + k / 2] and the
//! tables cos, sin `[context, k / 2]`,
//!
//!   x[c] = a cos - b sin;   x[c + k / 2] = a sin + b cos
//!
//!   p[i, j] = softmax over j <= i of scale q_i . k_j;   out_i = sum of p[i, j] v_j
//!   denominators[i] = logarithm of the softmax's denominator
//!
//! A unit has one row, which it keeps in registers; the rows that it meets are read into shared memory, a tile at a time,
//! by the whole cube. Every sum is taken in a fixed order by one unit. Cubes are counted by (tile, head, sequence).

use cubecl::prelude::*;

/// Rows of a cube, one a unit.
pub const UNITS: usize = 64;

/// Floats of one tile in shared memory, and its most rows.
const TILE_FLOATS: usize = 1024;
const MOST_ROWS: usize = 32;

/// Lower than any logit.
const LOWEST: f32 = -3.0e38;

/// Where the rows of one head of one sequence lie.
#[derive(CubeType, Clone, Copy)]
struct Head {
    /// First row of the sequence, and its number of rows.
    first: usize,
    context: usize,
    heads: usize,
    head: usize,
    /// Channels of all heads.
    d: usize,
}

#[cube]
impl Head {
    /// The head of this cube.
    fn here(context: usize, heads: usize, #[comptime] k: usize) -> Head {
        let head = CUBE_POS_Y as usize;
        Head { first: CUBE_POS_Z as usize * context, context, heads, head, d: heads * k }
    }

    /// The first channel of a query (0), key (1) or value (2).
    fn packed(&self, part: usize, position: usize, #[comptime] k: usize) -> usize {
        ((self.first + position) * 3 + part) * self.d + self.head * k
    }

    /// The first channel of the output.
    fn output(&self, position: usize, #[comptime] k: usize) -> usize {
        (self.first + position) * self.d + self.head * k
    }

    /// The place of a denominator.
    fn row(&self, position: usize) -> usize {
        (self.first + position) * self.heads + self.head
    }
}

/// Channel c of a query or key that begins at `base`, turned.
#[cube]
fn turned(qkv: &[f32], cos: &[f32], sin: &[f32], base: usize, position: usize, c: usize, #[comptime] k: usize) -> f32 {
    let half = comptime!(k / 2);
    let pair = c % half;
    let a = qkv[base + pair];
    let b = qkv[base + pair + half];
    let co = cos[position * half + pair];
    let si = sin[position * half + pair];
    if c < half { a * co - b * si } else { a * si + b * co }
}

/// Rows of a tile.
fn tile_rows(k: usize) -> usize {
    (TILE_FLOATS / k).clamp(1, MOST_ROWS)
}

/// A row, or the first of several.
#[derive(CubeType, Clone, Copy)]
struct Place {
    /// Queries (0), keys (1) or values (2).
    part: usize,
    /// Its position in the sequence.
    begin: usize,
}

/// Rows of turned queries or keys into a tile. Those behind the context stay what they were: nobody uses them.
#[cube]
fn read_turned(
    tile: &mut [f32],
    qkv: &[f32],
    cos: &[f32],
    sin: &[f32],
    h: &Head,
    place: Place,
    #[comptime] floats: usize,
    #[comptime] k: usize,
) {
    let mut e = UNIT_POS as usize;
    while e < floats {
        let position = place.begin + e / k;
        if position < h.context {
            tile[e] = turned(qkv, cos, sin, h.packed(place.part, position, k), position, e % k, k);
        }
        e += UNITS;
    }
}

/// Rows of values into a tile.
#[cube]
fn read_values(tile: &mut [f32], qkv: &[f32], h: &Head, begin: usize, #[comptime] floats: usize, #[comptime] k: usize) {
    let mut e = UNIT_POS as usize;
    while e < floats {
        let position = begin + e / k;
        if position < h.context {
            tile[e] = qkv[h.packed(2, position, k) + e % k];
        }
        e += UNITS;
    }
}

/// Rows of the output's gradient into a tile.
#[cube]
fn read_grads(tile: &mut [f32], grad: &[f32], h: &Head, begin: usize, #[comptime] floats: usize, #[comptime] k: usize) {
    let mut e = UNIT_POS as usize;
    while e < floats {
        let position = begin + e / k;
        if position < h.context {
            tile[e] = grad[h.output(position, k) + e % k];
        }
        e += UNITS;
    }
}

/// The product of a unit's own row and a row of a tile.
#[cube]
fn dot(own: &Array<f32>, tile: &[f32], row: usize, #[comptime] k: usize) -> f32 {
    let mut sum = 0.0f32;
    #[unroll]
    for c in 0..k {
        sum += own[c] * tile[row * k + c];
    }
    sum
}

/// Adds `weight` times a row of a tile.
#[cube]
fn add(sums: &mut Array<f32>, weight: f32, tile: &[f32], row: usize, #[comptime] k: usize) {
    #[unroll]
    for c in 0..k {
        sums[c] += weight * tile[row * k + c];
    }
}

/// A unit's own turned query or key, zero behind the context.
#[cube]
fn own_turned(
    own: &mut Array<f32>,
    qkv: &[f32],
    cos: &[f32],
    sin: &[f32],
    h: &Head,
    place: Place,
    #[comptime] k: usize,
) {
    let base = h.packed(place.part, place.begin, k);
    #[unroll]
    for c in 0..k {
        own[c] = 0.0f32;
        if place.begin < h.context {
            own[c] = turned(qkv, cos, sin, base, place.begin, c, k);
        }
    }
}

/// A unit's own row as it lies at `at`, zero behind the context.
#[cube]
fn own_row(own: &mut Array<f32>, from: &[f32], at: usize, there: bool, #[comptime] k: usize) {
    #[unroll]
    for c in 0..k {
        own[c] = 0.0f32;
        if there {
            own[c] = from[at + c];
        }
    }
}

/// Zeros.
#[cube]
fn clear(sums: &mut Array<f32>, #[comptime] k: usize) {
    #[unroll]
    for c in 0..k {
        sums[c] = 0.0f32;
    }
}

/// Output and denominators.
#[cube(launch)]
pub fn forward(
    qkv: &[f32],
    cos: &[f32],
    sin: &[f32],
    out: &mut [f32],
    denominators: &mut [f32],
    context: usize,
    heads: usize,
    scale: f32,
    #[comptime] k: usize,
) {
    let tile = comptime!(tile_rows(k));
    let floats = comptime!(tile * k);
    let mut keys = Shared::<[f32]>::new_slice(floats);
    let mut values = Shared::<[f32]>::new_slice(floats);
    let h = Head::here(context, heads, k);
    let begin = CUBE_POS_X as usize * UNITS;
    let query = begin + UNIT_POS as usize;
    let mut q = Array::<f32>::new(k);
    own_turned(&mut q, qkv, cos, sin, &h, Place { part: 0, begin: query }, k);
    let mut sums = Array::<f32>::new(k);
    clear(&mut sums, k);
    let mut highest = LOWEST.runtime();
    let mut sum = 0.0f32;
    // The last key that a row of the cube sees is its own.
    let end = (begin + UNITS).min(context);
    let mut at = 0usize.runtime();
    while at < end {
        sync_cube();
        read_turned(&mut keys, qkv, cos, sin, &h, Place { part: 1, begin: at }, floats, k);
        read_values(&mut values, qkv, &h, at, floats, k);
        sync_cube();
        for j in 0..tile {
            if at + j <= query && query < context {
                let s = dot(&q, &keys, j, k) * scale;
                let next = highest.max(s);
                let keep = (highest - next).exp();
                let p = (s - next).exp();
                highest = next;
                sum = sum * keep + p;
                #[unroll]
                for c in 0..k {
                    sums[c] = sums[c] * keep + p * values[j * k + c];
                }
            }
        }
        at += tile;
    }
    if query < context {
        let to = h.output(query, k);
        #[unroll]
        for c in 0..k {
            out[to + c] = sums[c] / sum;
        }
        denominators[h.row(query)] = highest + sum.ln();
    }
}

/// Writes the gradient of a turned query or key, turned back.
#[cube]
fn write_turned_back(
    gradient: &Array<f32>,
    cos: &[f32],
    sin: &[f32],
    grad_qkv: &mut [f32],
    h: &Head,
    place: Place,
    #[comptime] k: usize,
) {
    let half = comptime!(k / 2);
    let base = h.packed(place.part, place.begin, k);
    #[unroll]
    for c in 0..half {
        let a = gradient[c];
        let b = gradient[c + half];
        let co = cos[place.begin * half + c];
        let si = sin[place.begin * half + c];
        grad_qkv[base + c] = a * co + b * si;
        grad_qkv[base + c + half] = b * co - a * si;
    }
}

/// The gradient of the queries, and delta_i = out_i . grad_i. With dp[i, j] = grad_i . v_j:
///
///   ds[i, j] = p[i, j] (dp[i, j] - delta_i) scale;   dq_i = sum of ds[i, j] k_j
#[cube(launch)]
pub fn backward_queries(
    qkv: &[f32],
    cos: &[f32],
    sin: &[f32],
    out: &[f32],
    denominators: &[f32],
    grad: &[f32],
    grad_qkv: &mut [f32],
    deltas: &mut [f32],
    context: usize,
    heads: usize,
    scale: f32,
    #[comptime] k: usize,
) {
    let tile = comptime!(tile_rows(k));
    let floats = comptime!(tile * k);
    let mut keys = Shared::<[f32]>::new_slice(floats);
    let mut values = Shared::<[f32]>::new_slice(floats);
    let h = Head::here(context, heads, k);
    let begin = CUBE_POS_X as usize * UNITS;
    let query = begin + UNIT_POS as usize;
    let mut q = Array::<f32>::new(k);
    own_turned(&mut q, qkv, cos, sin, &h, Place { part: 0, begin: query }, k);
    let mut g = Array::<f32>::new(k);
    let mut sums = Array::<f32>::new(k);
    let of_output = h.output(query, k);
    own_row(&mut g, grad, of_output, query < context, k);
    clear(&mut sums, k);
    let mut delta = 0.0f32;
    let mut denominator = 0.0f32;
    if query < context {
        #[unroll]
        for c in 0..k {
            delta += out[of_output + c] * g[c];
        }
        denominator = denominators[h.row(query)];
        deltas[h.row(query)] = delta;
    }
    let end = (begin + UNITS).min(context);
    let mut at = 0usize.runtime();
    while at < end {
        sync_cube();
        read_turned(&mut keys, qkv, cos, sin, &h, Place { part: 1, begin: at }, floats, k);
        read_values(&mut values, qkv, &h, at, floats, k);
        sync_cube();
        for j in 0..tile {
            if at + j <= query && query < context {
                let p = (dot(&q, &keys, j, k) * scale - denominator).exp();
                let ds = p * (dot(&g, &values, j, k) - delta) * scale;
                add(&mut sums, ds, &keys, j, k);
            }
        }
        at += tile;
    }
    if query < context {
        write_turned_back(&sums, cos, sin, grad_qkv, &h, Place { part: 0, begin: query }, k);
    }
}

/// The gradients of keys and values:
///
///   dk_j = sum over i >= j of ds[i, j] q_i;   dv_j = sum over i >= j of p[i, j] grad_i
#[cube(launch)]
pub fn backward_keys(
    qkv: &[f32],
    cos: &[f32],
    sin: &[f32],
    denominators: &[f32],
    deltas: &[f32],
    grad: &[f32],
    grad_qkv: &mut [f32],
    context: usize,
    heads: usize,
    scale: f32,
    #[comptime] k: usize,
) {
    let tile = comptime!(tile_rows(k));
    let floats = comptime!(tile * k);
    let mut queries = Shared::<[f32]>::new_slice(floats);
    let mut grads = Shared::<[f32]>::new_slice(floats);
    let h = Head::here(context, heads, k);
    let begin = CUBE_POS_X as usize * UNITS;
    let key = begin + UNIT_POS as usize;
    let mut own = Array::<f32>::new(k);
    own_turned(&mut own, qkv, cos, sin, &h, Place { part: 1, begin: key }, k);
    let mut value = Array::<f32>::new(k);
    let mut grad_k = Array::<f32>::new(k);
    let mut grad_v = Array::<f32>::new(k);
    let of_value = h.packed(2, key, k);
    own_row(&mut value, qkv, of_value, key < context, k);
    clear(&mut grad_k, k);
    clear(&mut grad_v, k);
    // The first query that sees a row of the cube is the cube's first.
    let mut at = begin;
    while at < context {
        sync_cube();
        read_turned(&mut queries, qkv, cos, sin, &h, Place { part: 0, begin: at }, floats, k);
        read_grads(&mut grads, grad, &h, at, floats, k);
        sync_cube();
        for j in 0..tile {
            let query = at + j;
            if key <= query && query < context {
                let p = (dot(&own, &queries, j, k) * scale - denominators[h.row(query)]).exp();
                let ds = p * (dot(&value, &grads, j, k) - deltas[h.row(query)]) * scale;
                add(&mut grad_k, ds, &queries, j, k);
                add(&mut grad_v, p, &grads, j, k);
            }
        }
        at += tile;
    }
    if key < context {
        write_turned_back(&grad_k, cos, sin, grad_qkv, &h, Place { part: 1, begin: key }, k);
        #[unroll]
        for c in 0..k {
            grad_qkv[of_value + c] = grad_v[c];
        }
    }
}
