//! `--law gradient-noise`: the noise scale from norms of gradients at two batch sizes.

use anyhow::ensure;

use super::asked::{Asked, Plain};
use super::draw;
use crate::fit::laws::gradient_noise::{self, NormPair};
use crate::fit::named::Dot;
use crate::fit::table::Field;
use crate::report::figure::{Axis, Unit};

pub(super) const LAW: Asked = Asked {
    takes: &[],
    read: |request| {
        ensure!(request.args.drop_highest == 0, "--drop-highest means nothing with --law gradient-noise: leave it out");
        NORMS.read(request)
    },
    draw: |told| vec![draw::runs(&Axis::new("batch size", Unit::Count), "parameters", told)],
};

const NORMS: Plain<4> = Plain {
    fields: [&[Field::SmallBatch], &[Field::SmallNorm], &[Field::BigBatch], &[Field::BigNorm]],
    check: |[small, _, big, _]| (small >= big).then(|| (2, format!("{big} is not above the small batch of {small}"))),
    fit: |rows, request| {
        let pair = |[small_batch, small, big_batch, big]: [f64; 4]| NormPair { small_batch, small, big_batch, big };
        let pairs: Vec<NormPair> = rows.into_iter().map(pair).collect();
        Box::new(gradient_noise::fit(&pairs, &request.bootstrap))
    },
    dot: |[x, norm, ..]| Dot { x: *x, loss: *norm, series: None },
};
