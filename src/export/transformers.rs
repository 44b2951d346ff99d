//! A trained model as a folder that `from_pretrained` of the `transformers` package loads.
//!
//! Each part of a model says what it becomes in an architecture of the package, or why it cannot. The first models are a
//! Llama whose MLP has no gate; the package has that architecture under the name Arcee.
//!
//! What a parameterization multiplies is multiplied into the weights: what an embedding, a hidden matrix or the
//! unembedding computes is linear in its weights, and the attention scale goes into the queries, since the package's is
//! always 1/sqrt(head size).

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::ExportError;
use super::error::{create_dir, write};
use crate::checkpoint;
use crate::data::{ORIGINAL_IDS, tokenizer_facts};
use crate::model::{Family, Layout, Shape, Source, Weight};
use crate::parameterization::{Role, Rules as _};
use crate::plan::{NORM_EPSILON, PlannedRun, ROTARY_BASE, Run};
use crate::whole;

/// A tensor of the package: shape and numbers, row-major.
type Tensor = (Vec<usize>, Vec<f32>);

/// Writes the model of a run, whose weights are in the file, as an architecture of the package; with the tokenizer
/// where there is one.
pub fn export(
    planned: &PlannedRun,
    weights: &Path,
    family: Family,
    tokenizer: Option<&Path>,
    out: &Path,
) -> Result<(), ExportError> {
    let Package { tensors, config: told } = package(&planned.run, &checkpoint::weights(planned, weights)?, family)?;
    create_dir(out)?;
    let mut separator = None;
    // Renumbered, the rows of the embedding are not the tokenizer's: the file that has the ids goes along in its place.
    let original_ids = tokenizer.map(|path| path.with_file_name(ORIGINAL_IDS)).filter(|path| path.exists());
    if let Some(path) = &original_ids {
        let ids = std::fs::read(path).map_err(ExportError::io("read", path))?;
        write(&out.join(ORIGINAL_IDS), &ids)?;
    }
    if let (Some(path), None) = (tokenizer, &original_ids) {
        let (json, token) = tokenizer_facts(path).map_err(|error| ExportError::Impossible(error.to_string()))?;
        separator = Some(token);
        write(&out.join("tokenizer.json"), json.as_bytes())?;
        let about = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": planned.run.shape.context,
            "clean_up_tokenization_spaces": false,
        });
        write(&out.join("tokenizer_config.json"), &pretty(&about))?;
    }
    write(&out.join("config.json"), &pretty(&config(&planned.run.shape, family, separator, told)))?;
    let path = out.join("model.safetensors");
    whole::fill(&path, &mut |file| safetensors(&tensors, file)).map_err(ExportError::io("write", &path))
}

/// `config.json`. Documents end with the separator, so it begins and ends a text.
fn config(shape: &Shape, family: Family, separator: Option<u32>, parts: Vec<(&'static str, Value)>) -> Value {
    let name = match family {
        Family::Arcee => "ArceeForCausalLM",
        Family::Llama => "LlamaForCausalLM",
        Family::Qwen3 => "Qwen3ForCausalLM",
        Family::Mixtral => "MixtralForCausalLM",
        Family::Qwen3Moe => "Qwen3MoeForCausalLM",
    };
    let mut config = json!({
        "architectures": [name],
        "model_type": family.name(),
        "vocab_size": shape.vocab,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.heads,
        "head_dim": shape.head_dim(),
        "max_position_embeddings": shape.context,
        "rms_norm_eps": NORM_EPSILON,
        // Before and since version 5 of the package.
        "rope_theta": ROTARY_BASE,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROTARY_BASE},
        "attention_bias": false,
        "attention_dropout": 0.0,
        "bos_token_id": separator,
        "eos_token_id": separator,
        "pad_token_id": null,
        "torch_dtype": "float32",
    });
    for (key, value) in parts {
        config[key] = value;
    }
    config
}

/// A model as the package has it.
#[derive(Default)]
struct Package {
    tensors: BTreeMap<String, Tensor>,
    config: Vec<(&'static str, Value)>,
}

/// What a model becomes, from its weights in their order.
fn package(run: &Run, weights: &[Vec<f32>], family: Family) -> Result<Package, ExportError> {
    let shape = &run.shape;
    let logits = run.table().rule(Role::Unembedding, shape.width).multiplier;
    let impossible = |what| ExportError::Impossible(format!("run {} cannot be exported: {what}", run.id()));
    let (first, block, last) = layouts(shape, family, logits).map_err(impossible)?;
    let mut package = Package::default();
    let mut declared = shape.weights();
    let mut values = weights.iter();
    let counts = [shape.first().len(), shape.block().len(), shape.last().len()];
    let mut put = |prefix: &str, layout: &Layout, count: usize| {
        let part: Vec<(Weight, &Vec<f32>)> = declared.drain(..count).zip(values.by_ref()).collect();
        for told in &layout.tensors {
            let kind = if matches!(told.source, Source::Bias(..)) { "bias" } else { "weight" };
            package.tensors.insert(format!("{prefix}{}.{kind}", told.name), tensor(run, &part, &told.source));
        }
    };
    put("", &first, counts[0]);
    for index in 0..shape.depth {
        put(&format!("model.layers.{index}."), &block, counts[1]);
    }
    put("", &last, counts[2]);
    package.config = [first, block, last].into_iter().flat_map(|layout| layout.config).collect();
    Ok(package)
}

/// What the weights before the blocks, those of a block and those behind the blocks become.
fn layouts(shape: &Shape, family: Family, logits: f64) -> Result<(Layout, Layout, Layout), String> {
    let sizes = shape.sizes();
    let parts = &shape.parts;
    parts.norm.layout()?;
    parts.norm_place.layout()?;
    parts.positions.layout()?;
    let mlp = match &parts.experts {
        Some(experts) => experts.layout(parts.mlp, &sizes, family)?,
        None if family.has_experts() => {
            return Err(format!("[model.experts]: {} has experts; write another --architecture", family.name()));
        }
        None => parts.mlp.layout(&sizes, family)?,
    };
    let mixers = parts.mixer.weights(&sizes).len();
    let gain = |name: &str| Layout::default().with(name, Source::Whole(0));
    let block = gain("input_layernorm")
        .then(1, parts.mixer.layout(&sizes, family)?)
        .then(1 + mixers, gain("post_attention_layernorm"))
        .then(2 + mixers, mlp);
    let [first, last] = parts.embedding.layout(&sizes, logits);
    Ok((first, block, gain("model.norm").then(1, last)))
}

/// A tensor of the package from the weights of a part. What the parameterization multiplies goes into the weights.
fn tensor(run: &Run, weights: &[(Weight, &Vec<f32>)], source: &Source) -> Tensor {
    let table = run.table();
    let query_scale = table.attention_scale() * (run.shape.head_dim() as f64).sqrt();
    let multiplier = |weight: &Weight| table.rule(weight.role, weight.shape[0]).multiplier;
    match source {
        Source::Bias(length, value) => (vec![*length], vec![*value; *length]),
        Source::Matrix([rows, columns], value) => (vec![*rows, *columns], vec![*value; rows * columns]),
        Source::Scaled(at, factor) => {
            let (weight, values) = &weights[*at];
            (weight.shape.to_vec(), values.iter().map(|x| (f64::from(*x) * factor) as f32).collect())
        }
        Source::QueryGain(at) => {
            let (weight, values) = &weights[*at];
            let scaled = |x: &f32| (f64::from(*x) * query_scale) as f32;
            (vec![weight.shape[1]], values.iter().map(scaled).collect())
        }
        Source::Whole(at) => {
            let (weight, values) = &weights[*at];
            match weight.role {
                // Normalization multiplies by its gain alone.
                role if role.is_gain() => (vec![weight.shape[1]], (*values).clone()),
                _ => {
                    let factor = multiplier(weight);
                    (weight.shape.to_vec(), values.iter().map(|x| (f64::from(*x) * factor) as f32).collect())
                }
            }
        }
        Source::Columns { weight: at, columns, queries } => {
            let (weight, values) = &weights[*at];
            let [inputs, outputs] = weight.shape;
            let factor = multiplier(weight) * if *queries { query_scale } else { 1.0 };
            // Columns of `[inputs, outputs]` as the rows of the package's `[outputs, inputs]`.
            let row = |output| (0..inputs).map(move |input| input * outputs + output);
            let scaled = |at: usize| (f64::from(values[at]) * factor) as f32;
            (vec![columns.len(), inputs], columns.clone().flat_map(row).map(scaled).collect())
        }
    }
}

/// Writes a safetensors file of f32, in the order of the names.
fn safetensors(tensors: &BTreeMap<String, Tensor>, out: &mut dyn Write) -> std::io::Result<()> {
    let mut header = serde_json::Map::from_iter([("__metadata__".to_owned(), json!({"format": "pt"}))]);
    let mut end = 0;
    for (name, (shape, values)) in tensors {
        let begin = end;
        end += 4 * values.len();
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}));
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for (_, values) in tensors.values() {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        out.write_all(&bytes)?;
    }
    out.flush()
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("a value with string keys");
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Embedding, Experts, Mlp, Parts};
    use crate::parameterization::Parameterization;
    use crate::plan::testing::planned;

    /// Weights that tell from where they come: each is its place in the file.
    fn numbered(run: &Run) -> Vec<Vec<f32>> {
        let shapes = run.shape.weights();
        shapes.iter().map(|weight| (0..weight.count()).map(|i| i as f32).collect()).collect()
    }

    #[test]
    fn every_parameter_is_written_once_and_matrices_are_transposed() {
        let planned = planned(3, 0);
        let run = &planned.run;
        let written = package(run, &numbered(run), Family::Arcee).unwrap().tensors;
        let count =
            |tensors: &BTreeMap<String, Tensor>| tensors.values().map(|(_, values)| values.len() as u64).sum::<u64>();
        assert_eq!(count(&written), planned.params.total());
        let d = run.shape.width;
        let (shape, up) = &written["model.layers.2.mlp.up_proj.weight"];
        assert_eq!(shape, &[4 * d, d]);
        assert!((up[1] - (4 * d) as f32).abs() < 1e-3, "row 0, column 1 is input 1 of output 0");
        let (_, key) = &written["model.layers.0.self_attn.k_proj.weight"];
        assert!((key[0] - d as f32).abs() < 1e-3, "keys are the second third of the columns");
        let llama = package(run, &numbered(run), Family::Llama).unwrap().tensors;
        let dummies = (3 * (4 * d * d + 9 * d)) as u64;
        assert_eq!(count(&llama), planned.params.total() + dummies);
    }

    fn with(change: impl FnOnce(&mut Parts)) -> Run {
        let mut run = planned(2, 0).run;
        change(&mut run.shape.parts);
        run
    }

    #[test]
    fn every_part_is_exported_whole_or_refused_by_its_key() {
        for (name, parts) in Parts::each() {
            let run = with(|own| *own = parts);
            for family in Family::ALL {
                match package(&run, &numbered(&run), family) {
                    Ok(Package { tensors, .. }) if family == Family::Arcee => {
                        let count = tensors.values().map(|(_, values)| values.len() as u64).sum::<u64>();
                        assert_eq!(count, crate::plan::ParamCounts::of(&run.shape).total(), "{name}");
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let key = |told: &String| told.split([' ', ']']).next().unwrap_or_default().to_owned();
                        let named = parts.differing().iter().any(|told| error.to_string().contains(&key(told)));
                        // It needs parts that others lack, and says so.
                        let lacks = family.has_experts() || family.has_qk_norm();
                        assert!(named || lacks && error.to_string().contains(family.name()), "{name}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_gated_mlp_is_a_llama_without_constants_and_shared_heads_are_fewer() {
        for (mlp, activation) in [(Mlp::SwiGlu, "silu"), (Mlp::GeGlu, "gelu"), (Mlp::Bilinear, "linear")] {
            let run = with(|parts| (parts.mlp, parts.kv_sharing) = (mlp, 2));
            let written = package(&run, &numbered(&run), Family::Llama).unwrap();
            let count = written.tensors.values().map(|(_, values)| values.len() as u64).sum::<u64>();
            assert_eq!(count, crate::plan::ParamCounts::of(&run.shape).total());
            let d = run.shape.width;
            assert_eq!(written.tensors["model.layers.0.self_attn.k_proj.weight"].0, [d / 2, d]);
            assert!(written.config.contains(&("num_key_value_heads", json!(run.shape.heads / 2))));
            assert!(written.config.contains(&("hidden_act", json!(activation))));
        }
    }

    #[test]
    fn normalized_queries_and_keys_are_a_qwen3_whose_gain_has_the_attention_scale() {
        let mut run = with(|parts| (parts.mlp, parts.kv_sharing, parts.qk_norm) = (Mlp::SwiGlu, 2, true));
        (run.parameterization, run.base_width, run.base_head_dim) = (Parameterization::Mup, 8, 4);
        let written = package(&run, &numbered(&run), Family::Qwen3).unwrap();
        let count = written.tensors.values().map(|(_, values)| values.len() as u64).sum::<u64>();
        assert_eq!(count, crate::plan::ParamCounts::of(&run.shape).total());
        // q.k is multiplied by sqrt(4)/size where the package has 1/sqrt(size).
        let scale = 2.0 / (run.shape.head_dim() as f64).sqrt();
        let of = |name: &str| f64::from(written.tensors[&format!("model.layers.1.self_attn.{name}.weight")].1[3]);
        assert!((of("q_norm") - 3.0 * scale).abs() < 1e-6 && (of("k_norm") - 3.0).abs() < 1e-6);
        let told = |family| package(&run, &numbered(&run), family).map(|_| ()).unwrap_err().to_string();
        assert!(told(Family::Llama).ends_with("write --architecture qwen3"), "{}", told(Family::Llama));
        let plain = with(|parts| parts.mlp = Mlp::SwiGlu);
        let error = package(&plain, &numbered(&plain), Family::Qwen3).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("model.qk_norm"), "{error}");
    }

    #[test]
    fn experts_are_a_mixtral_or_a_qwen3_with_experts_by_their_own_names() {
        let experts = Experts { count: 4, active: 2, shared: 0, granularity: 2, balance: 0.01 };
        for (qk_norm, family, names) in [
            (false, Family::Mixtral, ["block_sparse_moe.gate", "block_sparse_moe.experts.3.w2"]),
            (true, Family::Qwen3Moe, ["mlp.gate", "mlp.experts.3.down_proj"]),
        ] {
            let run = with(|parts| (parts.mlp, parts.qk_norm, parts.experts) = (Mlp::SwiGlu, qk_norm, Some(experts)));
            let written = package(&run, &numbered(&run), family).unwrap();
            let count = written.tensors.values().map(|(_, values)| values.len() as u64).sum::<u64>();
            assert_eq!(count, crate::plan::ParamCounts::of(&run.shape).total());
            let [router, last] = names.map(|name| &written.tensors[&format!("model.layers.1.{name}.weight")].0);
            let d = run.shape.width;
            assert_eq!((router, last[0]), (&vec![4, d], d));
            // The gate of an expert comes before what it multiplies: its rows are the first columns.
            let first = if qk_norm { "mlp.experts.0.gate_proj" } else { "block_sparse_moe.experts.0.w1" };
            let (of_gate, values) = &written.tensors[&format!("model.layers.0.{first}.weight")];
            assert!(of_gate[1] == d && values[0].abs() < 1e-6 && (values[1] - 2.0 * of_gate[0] as f32).abs() < 1e-3);
            let shared = with(|parts| {
                let experts = Experts { shared: 1, ..experts };
                (parts.mlp, parts.qk_norm, parts.experts) = (Mlp::SwiGlu, qk_norm, Some(experts));
            });
            let error = package(&shared, &numbered(&shared), family).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("shared = 1"), "{error}");
        }
    }

    #[test]
    fn tied_ends_stay_tied_where_logits_have_no_multiplier() {
        let mut run = with(|parts| parts.embedding = Embedding::Tied);
        let written = package(&run, &numbered(&run), Family::Arcee).unwrap();
        assert!(!written.tensors.contains_key("lm_head.weight"));
        (run.parameterization, run.base_width) = (Parameterization::Mup, 8);
        let written = package(&run, &numbered(&run), Family::Arcee).unwrap();
        let of = |name: &str| f64::from(written.tensors[name].1[5]);
        assert!((of("lm_head.weight") / of("model.embed_tokens.weight") - 8.0 / run.shape.width as f64).abs() < 1e-6);
        assert!(written.config.contains(&("tie_word_embeddings", json!(false))));
    }

    #[test]
    fn multipliers_go_into_the_weights() {
        let mut run = planned(4, 0).run;
        run.parameterization = Parameterization::CompleteP;
        (run.base_width, run.base_depth, run.base_head_dim) = (8, 2, 4);
        let written = package(&run, &numbered(&run), Family::Arcee).unwrap().tensors;
        let second = |name: &str| f64::from(written[name].1[1]);
        let d = run.shape.width as f64;
        // Logits are multiplied by 1/4, residual branches by 1/2, and q.k by sqrt(4)/16 where the package has 1/sqrt(16).
        assert!((second("lm_head.weight") - run.shape.vocab as f64 / 4.0).abs() < 1e-6);
        assert!((second("model.layers.1.self_attn.o_proj.weight") - d / 2.0).abs() < 1e-6);
        assert!((second("model.layers.1.mlp.down_proj.weight") - d / 2.0).abs() < 1e-6);
        assert!((second("model.layers.1.self_attn.q_proj.weight") - 3.0 * d / 2.0).abs() < 1e-6);
        assert!((second("model.layers.1.self_attn.k_proj.weight") - 4.0 * d).abs() < 1e-6);
    }

    #[test]
    fn weights_of_another_run_are_refused_and_a_checkpoint_is_taken() {
        let (planned, other) = (planned(2, 0), planned(2, 1));
        let shape = &planned.run.shape;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        for layout in [checkpoint::model_layout(shape), checkpoint::layout(shape, planned.run.optimizer.kind)] {
            let mut file = std::fs::File::create(&path).unwrap();
            let mut values = |at: usize| {
                let mark = if layout[at].name.starts_with("model.") { 1.0 } else { 9.0 };
                Ok(vec![mark; layout[at].shape.iter().product()])
            };
            checkpoint::write(&mut file, &planned.id, &checkpoint::Place::default(), &layout, &mut values).unwrap();
            let weights = checkpoint::weights(&planned, &path).unwrap();
            assert_eq!(weights.len(), shape.weights().len());
            assert!(weights.iter().flatten().all(|value| (value - 1.0).abs() < 1e-6), "moments are no weights");
            let error = checkpoint::weights(&other, &path).unwrap_err().to_string();
            assert!(error.contains("belongs to run") && error.contains("--keep-models"), "{error}");
        }
        std::fs::write(&path, [0; 4]).unwrap();
        assert!(checkpoint::weights(&planned, &path).unwrap_err().to_string().contains("only 4 bytes"));
    }
}
