//! How an MLP of two matrices is exported.

use crate::model::layout::{Family, Layout, Source};
use crate::model::sizes::Sizes;

/// Where the package has a gate, the gate is what goes through the activation, and what it multiplies is the constant 1: a
/// bias beside a matrix of zeros.
pub fn layout(sizes: &Sizes, family: Family, key: &str) -> Result<Layout, String> {
    let (d, wide) = (sizes.width, sizes.wide());
    let layout = Layout::default().columns("mlp.down_proj", 1, 0..d).told("intermediate_size", wide);
    Ok(match family {
        Family::Qwen3 | Family::Mixtral | Family::Qwen3Moe => {
            let name = family.name();
            return Err(format!(
                "model.mlp = \"{key}\": the MLP of {name} has a gate; write --architecture arcee or llama"
            ));
        }
        Family::Arcee => layout.columns("mlp.up_proj", 0, 0..wide).told("mlp_bias", false),
        Family::Llama => layout
            .columns("mlp.gate_proj", 0, 0..wide)
            .with("mlp.up_proj", Source::Matrix([wide, d], 0.0))
            .with("mlp.gate_proj", Source::Bias(wide, 0.0))
            .with("mlp.up_proj", Source::Bias(wide, 1.0))
            .with("mlp.down_proj", Source::Bias(d, 0.0))
            .told("mlp_bias", true),
    })
}
