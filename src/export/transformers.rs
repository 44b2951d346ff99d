//! A trained model as a folder that `from_pretrained` of the `transformers` package loads.
//!
//! The model here is a Llama whose MLP has no gate: pre-norm by root mean square, rotary positions that turn channels i
//! and i + half, no biases, an unembedding of its own, and an MLP of two matrices with the exact GELU. The package has
//! that architecture under the name Arcee. As a plain Llama it needs a gated MLP: there the gate is what goes through
//! GELU, and what it multiplies is the constant 1, a bias beside a matrix of zeros (so the parameters are more).
//!
//! What a parameterization multiplies is multiplied into the weights: what an embedding, a hidden matrix or the
//! unembedding computes is linear in its weights, and the attention scale goes into the queries, since the package's is
//! always 1/sqrt(head size).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::ExportError;
use super::error::{create_dir, write};
use crate::checkpoint;
use crate::data::{ORIGINAL_IDS, tokenizer_facts};
use crate::optimizer::Kept;
use crate::parameterization::{Role, Rules as _};
use crate::plan::{NORM_EPSILON, PlannedRun, ROTARY_BASE, Run, Shape};

/// As which architecture of the package a model is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Exactly this model, of as many parameters.
    Arcee,
    /// With a gated MLP, for programs that only know Llama.
    Llama,
}

/// A tensor of the package: shape and numbers, row-major.
type Tensor = (Vec<usize>, Vec<f32>);

/// Writes the model of a run, whose weights are in the file, as an architecture of the package; with the tokenizer
/// where there is one.
pub fn export(
    planned: &PlannedRun,
    weights: &Path,
    architecture: Architecture,
    tokenizer: Option<&Path>,
    out: &Path,
) -> Result<(), ExportError> {
    let tensors = tensors(&planned.run, read(planned, weights)?, architecture);
    create_dir(out)?;
    let mut separator = None;
    // Numbered anew, the rows of the embedding are not the tokenizer's: the file that has the ids goes along in its place.
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
    write(&out.join("config.json"), &pretty(&config(&planned.run.shape, architecture, separator)))?;
    let path = out.join("model.safetensors");
    let file = File::create(&path).map_err(ExportError::io("write", &path))?;
    safetensors(&tensors, &mut BufWriter::new(file)).map_err(ExportError::io("write", &path))
}

/// The weights in a kept model, or in a checkpoint of any step.
fn read(planned: &PlannedRun, path: &Path) -> Result<Vec<Vec<f32>>, ExportError> {
    let mut file = File::open(path).map_err(ExportError::io("read", path))?;
    let shape = &planned.run.shape;
    let kept = match checkpoint::read(&mut file, &planned.id, &checkpoint::model_layout(shape)) {
        Ok((_, tensors)) => Ok(tensors),
        Err(reason) => {
            let mut file = File::open(path).map_err(ExportError::io("read", path))?;
            let optimizer = planned.run.optimizer.kind;
            let whole = checkpoint::read(&mut file, &planned.id, &checkpoint::layout(shape, optimizer));
            // Moments lie between the weights, the sum of losses after the last of them.
            let kept = checkpoint::kept(shape, optimizer);
            let values = |tensors: Vec<Vec<f32>>| {
                let pairs = tensors.into_iter().zip(kept).filter(|(_, (_, kept))| *kept == Kept::Value);
                pairs.map(|(tensor, _)| tensor).collect()
            };
            whole.map(|(_, tensors)| values(tensors)).map_err(|_| reason)
        }
    };
    kept.map_err(|reason| ExportError::Weights {
        path: path.to_owned(),
        what: format!(
            "no weights of run {}: {reason}; train it again with --keep-models into another folder",
            planned.id
        ),
    })
}

/// `config.json`. Documents end with the separator, so it begins and ends a text.
fn config(shape: &Shape, architecture: Architecture, separator: Option<u32>) -> Value {
    let (name, model_type) = match architecture {
        Architecture::Arcee => ("ArceeForCausalLM", "arcee"),
        Architecture::Llama => ("LlamaForCausalLM", "llama"),
    };
    json!({
        "architectures": [name],
        "model_type": model_type,
        "vocab_size": shape.vocab,
        "hidden_size": shape.width,
        "intermediate_size": 4 * shape.width,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_dim(),
        "hidden_act": "gelu",
        "max_position_embeddings": shape.context,
        "rms_norm_eps": NORM_EPSILON,
        // Before and since version 5 of the package.
        "rope_theta": ROTARY_BASE,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROTARY_BASE},
        "attention_bias": false,
        "attention_dropout": 0.0,
        "mlp_bias": architecture == Architecture::Llama,
        "tie_word_embeddings": false,
        "bos_token_id": separator,
        "eos_token_id": separator,
        "pad_token_id": null,
        "torch_dtype": "float32",
    })
}

/// The tensors of the package by their names, from the weights in their order.
fn tensors(run: &Run, weights: Vec<Vec<f32>>, architecture: Architecture) -> BTreeMap<String, Tensor> {
    let (shape, table) = (&run.shape, run.table());
    let query_scale = table.attention_scale() * (shape.head_dim() as f64).sqrt();
    let mut tensors = BTreeMap::new();
    for ((name, role, [inputs, outputs]), values) in shape.weights().into_iter().zip(weights) {
        let multiplier = match role {
            // Normalization multiplies by its gain alone.
            Role::BlockGain | Role::FinalGain => 1.0,
            _ => table.rule(role, inputs).multiplier,
        };
        let layer = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.'));
        let (prefix, part) = match layer {
            Some((index, part)) => (format!("model.layers.{index}."), part),
            None => (String::new(), name.as_str()),
        };
        let mut put = |name: &str, tensor| tensors.insert(format!("{prefix}{name}.weight"), tensor);
        // Columns of `[inputs, outputs]` as the rows of the package's `[outputs, inputs]`.
        let rows = |from: usize, to: usize, factor: f64| -> Tensor {
            let row = |output| (0..inputs).map(move |input| (input * outputs + output, factor));
            let scaled = |(at, factor): (usize, f64)| (f64::from(values[at]) * factor) as f32;
            (vec![to - from, inputs], (from..to).flat_map(row).map(scaled).collect())
        };
        let d = shape.width;
        match part {
            // One-hot inputs choose a row.
            "embedding" => {
                let scaled = values.iter().map(|x| (f64::from(*x) * multiplier) as f32).collect();
                put("model.embed_tokens", (vec![inputs, outputs], scaled));
            }
            "norm_attention" => drop(put("input_layernorm", (vec![d], values))),
            "norm_mlp" => drop(put("post_attention_layernorm", (vec![d], values))),
            "norm" => drop(put("model.norm", (vec![d], values))),
            "qkv" => {
                put("self_attn.q_proj", rows(0, d, multiplier * query_scale));
                put("self_attn.k_proj", rows(d, 2 * d, multiplier));
                put("self_attn.v_proj", rows(2 * d, 3 * d, multiplier));
            }
            "attention_out" => drop(put("self_attn.o_proj", rows(0, d, multiplier))),
            "mlp_in" if architecture == Architecture::Arcee => drop(put("mlp.up_proj", rows(0, 4 * d, multiplier))),
            "mlp_in" => {
                put("mlp.gate_proj", rows(0, 4 * d, multiplier));
                put("mlp.up_proj", (vec![4 * d, d], vec![0.0; 4 * d * d]));
                let biases = [("gate_proj", 4 * d, 0.0), ("up_proj", 4 * d, 1.0), ("down_proj", d, 0.0)];
                for (name, length, value) in biases {
                    tensors.insert(format!("{prefix}mlp.{name}.bias"), (vec![length], vec![value; length]));
                }
            }
            "mlp_out" => drop(put("mlp.down_proj", rows(0, d, multiplier))),
            "unembedding" => drop(put("lm_head", rows(0, shape.vocab, multiplier))),
            other => unreachable!("{other} is no weight of this model"),
        }
    }
    tensors
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
    use crate::parameterization::Parameterization;
    use crate::plan::testing::planned;

    /// Weights that tell from where they come: each is its place in the file.
    fn numbered(run: &Run) -> Vec<Vec<f32>> {
        let shapes = run.shape.weights();
        shapes.iter().map(|(_, _, [inputs, outputs])| (0..inputs * outputs).map(|i| i as f32).collect()).collect()
    }

    #[test]
    fn every_parameter_is_written_once_and_matrices_are_transposed() {
        let planned = planned(3, 0);
        let run = &planned.run;
        let written = tensors(run, numbered(run), Architecture::Arcee);
        let count =
            |tensors: &BTreeMap<String, Tensor>| tensors.values().map(|(_, values)| values.len() as u64).sum::<u64>();
        assert_eq!(count(&written), planned.params.total());
        let d = run.shape.width;
        let (shape, up) = &written["model.layers.2.mlp.up_proj.weight"];
        assert_eq!(shape, &[4 * d, d]);
        assert!((up[1] - (4 * d) as f32).abs() < 1e-3, "row 0, column 1 is input 1 of output 0");
        let (_, key) = &written["model.layers.0.self_attn.k_proj.weight"];
        assert!((key[0] - d as f32).abs() < 1e-3, "keys are the second third of the columns");
        let llama = tensors(run, numbered(run), Architecture::Llama);
        let dummies = (3 * (4 * d * d + 9 * d)) as u64;
        assert_eq!(count(&llama), planned.params.total() + dummies);
    }

    #[test]
    fn multipliers_go_into_the_weights() {
        let mut run = planned(4, 0).run;
        run.parameterization = Parameterization::CompleteP;
        (run.base_width, run.base_depth, run.base_head_dim) = (8, 2, 4);
        let written = tensors(&run, numbered(&run), Architecture::Arcee);
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
            let mut file = File::create(&path).unwrap();
            let mut values = |at: usize| {
                let mark = if layout[at].name.starts_with("model.") { 1.0 } else { 9.0 };
                Ok(vec![mark; layout[at].shape.iter().product()])
            };
            checkpoint::write(&mut file, &planned.id, &checkpoint::Place::default(), &layout, &mut values).unwrap();
            let weights = read(&planned, &path).unwrap();
            assert_eq!(weights.len(), shape.weights().len());
            assert!(weights.iter().flatten().all(|value| (value - 1.0).abs() < 1e-6), "moments are no weights");
            let error = read(&other, &path).unwrap_err().to_string();
            assert!(error.contains("belongs to run") && error.contains("--keep-models"), "{error}");
        }
        std::fs::write(&path, [0; 4]).unwrap();
        assert!(read(&planned, &path).unwrap_err().to_string().contains("only 4 bytes"));
    }
}
