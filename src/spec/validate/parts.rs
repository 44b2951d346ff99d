//! `[model]`: which parts go together.

use crate::model::{Embedding, Experts, Mixer, Positions};
use crate::spec::Model;
use crate::spec::check::{Checked, absent, not_negative, require};

/// Checks the choice of parts.
pub(super) fn check(model: &Model) -> Checked {
    if model.mixer != Mixer::Attention {
        attention_only(model)?;
    }
    if let Some(sharing) = model.kv_sharing {
        shared_heads(model, sharing)?;
    }
    let tied = model.embedding == Embedding::Tied && model.zero_init_unembedding;
    absent("model.zero_init_unembedding", tied, "with embedding = \"tied\" all tokens would begin as zeros")?;
    model.experts.as_ref().map_or(Ok(()), |written| experts(model, written))
}

/// Keys that belong to attention, where the mixer is another.
fn attention_only(model: &Model) -> Checked {
    let mixer = model.mixer.name();
    let why = format!("it belongs to attention, and the mixer is {mixer:?}");
    if let Some(positions) = model.positions.filter(|positions| *positions != Positions::None) {
        let name = positions.name();
        return require(false, "model.positions", || {
            let problem = format!("{name:?} does not go with mixer = {mixer:?}, which knows positions by itself");
            (problem, "delete it, or write \"none\"")
        });
    }
    absent("model.qk_norm", model.qk_norm, &why)?;
    absent("model.kv_sharing", model.kv_sharing.is_some_and(|sharing| sharing != 1), &why)?;
    absent("model.zero_init_query", model.zero_init_query, &why)
}

/// Whether heads can share keys and values in such groups.
fn shared_heads(model: &Model, sharing: usize) -> Checked {
    require((1..=1024).contains(&sharing), "model.kv_sharing", || {
        (format!("{sharing} is impossible"), "write how many query heads share keys and values, such as 4; 1 for none")
    })?;
    let Some(width) = model.width else { return Ok(()) };
    let group = sharing * model.head_dim;
    require(width.is_multiple_of(group), "model.kv_sharing", || {
        let heads = width / model.head_dim;
        let problem =
            format!("{heads} heads (width {width} / head_dim {}) are no multiple of {sharing}", model.head_dim);
        (problem, format!("write a divisor of {heads}, or a width such as {}", width.div_ceil(group) * group))
    })
}

/// Numbers that no experts have.
fn experts(model: &Model, experts: &Experts) -> Checked {
    let Experts { count, active, shared, granularity, balance } = *experts;
    require((1..=1024).contains(&count), "model.experts.count", || {
        let remedy = "write a whole number from 1 to 1024, such as 8, or delete [model.experts]";
        (format!("{count} is impossible"), remedy)
    })?;
    require((1..=count).contains(&active), "model.experts.active", || {
        let remedy = format!("write a whole number from 1 to count = {count}, such as {}", count.min(2));
        (format!("{active} of {count} experts is impossible"), remedy)
    })?;
    require(shared <= 64, "model.experts.shared", || {
        (format!("{shared} is impossible"), "write a whole number from 0 to 64, such as 1")
    })?;
    let channels = 4 * model.width.unwrap_or(model.head_dim);
    let fits = (1..=64).contains(&granularity) && channels.is_multiple_of(granularity) && channels / granularity >= 8;
    require(fits, "model.experts.granularity", || {
        let problem =
            format!("{granularity} does not divide the {channels} channels of an MLP into experts of 8 or more");
        (problem, "write a power of two such as 2, or 1 for experts as wide as an MLP")
    })?;
    not_negative("model.experts.balance", balance, "0.01, or 0 for none")
}

#[cfg(test)]
mod tests {
    use crate::model::Parts;
    use crate::spec;

    const SMALL: &str = include_str!("../../../configs/small.toml");

    fn parsed(set: &[&str]) -> Result<spec::Spec, spec::SpecError> {
        let set: Vec<String> = set.iter().map(|&set| set.to_owned()).collect();
        spec::parse(&spec::edit(SMALL, &set).unwrap(), "small.toml")
    }

    #[test]
    fn parts_that_do_not_go_together_name_their_key_and_what_to_write() {
        let cases: [(&[&str], &str, &str); 14] = [
            (&["model.mixer=\"lstm\"", "model.positions=\"rotary\""], "model.positions", "write \"none\""),
            (&["model.mixer=\"lstm\"", "model.qk_norm=true"], "model.qk_norm", "delete it"),
            (&["model.mixer=\"lstm\"", "model.kv_sharing=2"], "model.kv_sharing", "delete it"),
            (&["model.mixer=\"lstm\"", "model.zero_init_query=true"], "model.zero_init_query", "delete it"),
            (&["model.mixer=\"mingru\"", "model.positions=\"learned\""], "model.positions", "write \"none\""),
            (&["model.mixer=\"mingru\"", "model.qk_norm=true"], "model.qk_norm", "delete it"),
            (&["model.mixer=\"mingru\"", "model.kv_sharing=2"], "model.kv_sharing", "delete it"),
            (
                &["model.embedding=\"tied\"", "model.zero_init_unembedding=true"],
                "model.zero_init_unembedding",
                "delete",
            ),
            (&["model.kv_sharing=0"], "model.kv_sharing", "1 for none"),
            (&["model.kv_sharing=3"], "model.kv_sharing", "a divisor of"),
            (&["model.experts={count=8,active=0,balance=0.0}"], "model.experts.active", "from 1 to count = 8"),
            (&["model.experts={count=0,active=0,balance=0.0}"], "model.experts.count", "from 1 to 1024"),
            (&["model.experts={count=8,active=2,balance=-1.0}"], "model.experts.balance", "0 for none"),
            (
                &["model.experts={count=8,active=2,granularity=7,balance=0.0}"],
                "model.experts.granularity",
                "a power of two",
            ),
        ];
        for (set, key, remedy) in cases {
            let error = parsed(set).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(remedy) && error.contains("small.toml"), "{set:?}: {error}");
        }
        let error = parsed(&["model.mlp=\"swigl\""]).unwrap_err().to_string();
        assert!(error.contains("model.mlp") && error.contains("swiglu"), "{error}");
    }

    #[test]
    fn memories_have_no_positions_and_what_is_not_written_is_as_in_the_first_models() {
        assert_eq!(parsed(&[]).unwrap().model.parts(), Parts::FIRST);
        assert!(!parsed(&[]).unwrap().to_toml().contains("mlp"), "defaults are not written");
        for mixer in ["lstm", "mingru"] {
            let memory = parsed(&[&format!("model.mixer={mixer:?}")]).unwrap().model.parts();
            assert_eq!(memory.differing(), [&format!("model.mixer = {mixer:?}"), "model.positions = \"none\""]);
        }
        let written = parsed(&["model.experts={count=4,active=2,balance=0.01}", "model.mlp=\"swiglu\""]).unwrap();
        assert_eq!(spec::parse(&written.to_toml(), "again").unwrap(), written);
    }

    #[test]
    fn parts_are_axes_of_a_sweep_and_sizes_stay_near_their_targets() {
        let text = include_str!("../../../sweeps/quickstart.toml");
        let set = ["sweep.axes={\"model.mlp\"=[\"gelu\",\"swiglu\"]}".to_owned()];
        let spec = spec::parse(&spec::edit(text, &set).unwrap(), "quickstart.toml").unwrap();
        let mlps: Vec<_> = spec.points().unwrap().iter().map(|point| point.spec.model.mlp.name()).collect();
        assert_eq!(mlps, ["gelu", "swiglu"]);
        let set = ["sweep.axes={\"model.mixer\"=[\"attention\",\"lstm\"]}", "model.kv_sharing=2", "model.qk_norm=true"];
        let edited = spec::edit(text, &set.map(str::to_owned)).unwrap();
        let points = spec::parse(&edited, "quickstart.toml").unwrap().points().unwrap();
        let of_attention: Vec<_> = points.iter().map(|point| point.spec.model.qk_norm).collect();
        assert_eq!(of_attention, [true, false], "what only attention reads stays with attention");
    }
}
