//! `[model]`: shapes, and what a parameterization has to know.

use super::parts;
use crate::spec::Model;
use crate::spec::check::{Checked, absent, present, require};

/// Checks `[model]`; on a ladder of sizes the sweep chooses the shapes.
pub(super) fn check(model: &Model, ladder: bool) -> Checked {
    ranges(model)?;
    let std = model.embedding_std;
    require(std.is_none_or(|std| std > 0.0 && std <= 1e3), "model.embedding_std", || {
        (format!("{} is impossible", std.unwrap_or_default()), "write a number above 0, such as 0.02 or 1.0".to_owned())
    })?;
    shape(model, ladder)?;
    bases(model)?;
    parts::check(model)
}

/// Numbers that no model has.
fn ranges(model: &Model) -> Checked {
    let Model {
        parameterization: _,
        context,
        head_dim,
        width,
        depth,
        aspect_ratio,
        base_width,
        base_depth,
        base_head_dim,
        zero_init_unembedding: _,
        zero_init_query: _,
        embedding_std: _,
        mixer: _,
        positions: _,
        kv_sharing: _,
        qk_norm: _,
        mlp: _,
        experts: _,
        embedding: _,
        norm: _,
        norm_place: _,
    } = model;
    let within = |key: &str, value: usize, most: usize, such: &'static str| {
        require((1..=most).contains(&value), key, || {
            (format!("{value} is impossible"), format!("write a whole number from 1 to {most}, such as {such}"))
        })
    };
    within("model.context", *context, 1 << 20, "128")?;
    for (key, head_dim) in [("model.head_dim", Some(head_dim)), ("model.base_head_dim", base_head_dim.as_ref())] {
        let Some(head_dim) = head_dim else { continue };
        within(key, *head_dim, 1024, "16")?;
        require(head_dim.is_multiple_of(2), key, || {
            (format!("{head_dim} is odd"), "write an even number such as 16: rotary positions turn channels in pairs")
        })?;
    }
    let base_heads = base_head_dim.map_or(("head_dim", *head_dim), |channels| ("base_head_dim", channels));
    for (key, width, (name, channels)) in
        [("model.width", width, ("head_dim", *head_dim)), ("model.base_width", base_width, base_heads)]
    {
        let Some(width) = width else { continue };
        within(key, *width, 1 << 17, "64")?;
        require(width.is_multiple_of(channels), key, || {
            let near = (width / channels).max(1) * channels;
            (format!("{width} is not a multiple of {name} = {channels}"), format!("write for example {near}"))
        })?;
    }
    for (key, depth) in [("model.depth", depth), ("model.base_depth", base_depth)] {
        let Some(depth) = depth else { continue };
        within(key, *depth, 10_000, "4")?;
    }
    if let Some(aspect_ratio) = aspect_ratio {
        require((1.0..=1000.0).contains(aspect_ratio), "model.aspect_ratio", || {
            (format!("{aspect_ratio} is impossible"), "write a number from 1 to 1000, such as 32.0")
        })?;
    }
    Ok(())
}

/// Width and depth are written, or the sweep chooses them.
fn shape(Model { width, depth, aspect_ratio, .. }: &Model, ladder: bool) -> Checked {
    if ladder {
        let why = "the sweep chooses the shapes";
        absent("model.width", width.is_some(), why)?;
        absent("model.depth", depth.is_some(), why)?;
        present("model.aspect_ratio", aspect_ratio.is_some(), "write width divided by depth, such as 32.0")
    } else {
        present("model.width", width.is_some(), "write the channels of the residual stream, such as 64")?;
        present("model.depth", depth.is_some(), "write the number of blocks, such as 4")?;
        absent("model.aspect_ratio", aspect_ratio.is_some(), "width and depth are written out")
    }
}

/// The shape at which hyper-parameters were tuned, where the parameterization reads it.
fn bases(Model { parameterization, base_width, base_depth, base_head_dim, .. }: &Model) -> Checked {
    // A base shape that is not looked at is allowed: an axis may compare parameterizations.
    let (name, by_width, by_depth) =
        (parameterization.name(), parameterization.reads_base_width(), parameterization.reads_base_depth());
    let bases = [
        ("model.base_width", by_width, base_width, "width", "64"),
        ("model.base_head_dim", by_width, base_head_dim, "head_dim", "16"),
        ("model.base_depth", by_depth, base_depth, "depth", "4"),
    ];
    for (key, read, base, what, such) in bases {
        require(!read || base.is_some(), key, || {
            let remedy = format!("write the {what} at which the learning rate was tuned, such as {such}");
            (format!("missing, and {name} needs it"), remedy)
        })?;
    }
    Ok(())
}
