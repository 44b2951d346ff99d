//! From a point of the grid to a run: batch, steps, warm-up and learning rate from the spec's rules.

use super::candidate::Candidate;
use super::grid::Length;
use super::{CorpusFacts, Program, Run, RunSchedule};
use crate::optimizer::RunOptimizer;
use crate::spec::{MIN_STEPS, MOST_TOKENS, Optimizer, Schedule, ScheduleKind, Spec};
use crate::units::{Flops, Params, Tokens};

/// Optimizers and schedules count their steps in 31 bits.
const MOST_STEPS: f64 = i32::MAX as f64;

/// The run of one model, or the reason why it is left out.
pub fn run(spec: &Spec, facts: &CorpusFacts, model: &Candidate, length: Length, seed: u64) -> Result<Run, String> {
    let (shape, params, flops_per_token) = (model.shape, model.size(), model.flops_per_token().exact);
    let tokens = match length {
        Length::Flops(flops) => flops / flops_per_token,
        Length::Tokens(tokens) => tokens,
        Length::TokensPerParam(ratio) => ratio * params,
    };
    if tokens > MOST_TOKENS {
        return Err(format!(
            "{tokens:.1e} tokens for {} parameters are more than any corpus has: use a smaller budget or a larger size",
            Params(params),
        ));
    }
    let optimizer = optimizer(&spec.optimizer, params, tokens, shape.context)?;
    let tokens_per_step = (optimizer.batch_sequences * shape.context) as f64;
    // The length in steps as a real number: 50 or more of them, rounded, are within 1% of it.
    let steps = tokens / tokens_per_step;
    let min_steps = spec.sweep.as_ref().map_or(MIN_STEPS, |sweep| sweep.min_steps);
    if steps < min_steps as f64 {
        return Err(too_short(model, length, tokens, steps, min_steps));
    }
    if steps > MOST_STEPS {
        return Err(format!("{steps:.1e} steps are more than can be counted: use a larger batch or a shorter run"));
    }
    let steps = steps.round() as usize;
    enough_text(spec, facts, length, [steps as f64 * tokens_per_step, tokens_per_step])?;
    let parameterization = spec.model.parameterization;
    let base_head_dim = spec.model.base_head_dim.filter(|_| parameterization.reads_base_width());
    Ok(Run {
        data: spec.data.clone(),
        corpus: facts.fingerprint.clone(),
        shape,
        parameterization,
        // A base shape that is not read must not make two runs of one.
        base_width: spec.model.base_width.filter(|_| parameterization.reads_base_width()).unwrap_or(shape.width),
        base_depth: spec.model.base_depth.filter(|_| parameterization.reads_base_depth()).unwrap_or(shape.depth),
        base_head_dim: base_head_dim.unwrap_or(shape.head_dim()),
        zero_init_unembedding: spec.model.zero_init_unembedding,
        zero_init_query: spec.model.zero_init_query,
        embedding_std: spec.model.embedding_std,
        optimizer,
        schedule: schedule(&spec.schedule, params, tokens_per_step, steps),
        eval: spec.eval.clone(),
        precision: spec.train.precision,
        program: facts.inputs.as_ref().map(|inputs| Program {
            command: spec.train.command.clone(),
            inputs: inputs.clone(),
            config: model.own.as_ref().map_or_else(|| spec.train.config.clone(), |(_, config)| config.clone()),
            size: model.own.as_ref().map(|(size, _)| size.clone()),
            patience_seconds: spec.train.patience(),
            step_patience_seconds: spec.train.step_patience_seconds,
            local: spec.train.local.clone(),
            cards: spec.train.cards,
        }),
        seed,
        flop_budget: length.budget(),
    })
}

/// Whether the corpus and the schedule reach as far as the run.
fn enough_text(spec: &Spec, facts: &CorpusFacts, length: Length, [trained, a_step]: [f64; 2]) -> Result<(), String> {
    if let (Some(written), Some(epoch)) = (spec.data.train_tokens, facts.train_tokens)
        && a_step > epoch as f64
    {
        return Err(format!(
            "data.train_tokens = {written:e} is less than a batch of {}: use more of them or a smaller batch",
            Tokens(a_step)
        ));
    }
    if let Some(epoch) = facts.train_tokens
        && trained > spec.data.max_epochs * epoch as f64
    {
        let epochs = trained / epoch as f64;
        return Err(format!(
            "{} tokens are {epochs:.2} epochs of {}: use data.max_epochs = {} (now {}), more text, or a {}",
            Tokens(trained),
            Tokens(epoch as f64),
            (epochs * 100.0).ceil() / 100.0,
            spec.data.max_epochs,
            if length.budget().is_some() { "smaller budget or a larger size" } else { "shorter run" },
        ));
    }
    if let Some(horizon) = spec.schedule.decay_tokens
        && trained > horizon
    {
        return Err(format!(
            "{} tokens are longer than the cosine of {}: use a larger schedule.decay_tokens",
            Tokens(trained),
            Tokens(horizon)
        ));
    }
    Ok(())
}

/// The optimizer with its rules worked out at a size.
fn optimizer(optimizer: &Optimizer, params: f64, tokens: f64, context: usize) -> Result<RunOptimizer, String> {
    let Optimizer { kind, learning_rate, batch_tokens, beta1, beta2, epsilon, momentum, clip_norm, .. } = *optimizer;
    let learning_rate = learning_rate.at(params, tokens);
    // A device has 32 bits for it.
    if !((learning_rate as f32).is_normal() && learning_rate > 0.0) {
        return Err(format!("the rule gives a learning rate of {learning_rate:e}: use another exponent"));
    }
    let sequences = batch_tokens.at(params, tokens) / context as f64;
    if sequences.is_nan() || sequences > MOST_TOKENS / context as f64 {
        return Err(format!("the rule gives a batch of {sequences:.2e} sequences: use another exponent"));
    }
    let batch_sequences = sequences.round().max(1.0) as usize;
    let weight_decay = match (optimizer.weight_decay, optimizer.weight_decay_tokens) {
        (Some(coefficient), _) => coefficient,
        // Each step keeps 1 - rate x coefficient of a weight, so a weight is forgotten in 1 / (rate x coefficient) steps.
        (None, Some(rule)) => (batch_sequences * context) as f64 / (learning_rate * rule.at(params, tokens)),
        (None, None) => 0.0,
    };
    if !weight_decay.is_finite() {
        return Err(format!("the rule gives a weight decay of {weight_decay:e}: use another exponent"));
    }
    Ok(RunOptimizer { kind, learning_rate, batch_sequences, beta1, beta2, epsilon, momentum, weight_decay, clip_norm })
}

/// The schedule in steps. Warm-up grows with the model (Porian et al. 2024: as many tokens as parameters), is never
/// lost to rounding, and is cut to its share of the run, of which it leaves a step where there is a decay.
fn schedule(schedule: &Schedule, params: f64, tokens_per_step: f64, steps: usize) -> RunSchedule {
    let warmup = warmup(schedule, params, tokens_per_step);
    let longest = (schedule.warmup_max_fraction * steps as f64).floor();
    let decays = usize::from(schedule.kind != ScheduleKind::Constant);
    let warmup_steps = (warmup.min(longest) as usize).min(steps - decays);
    let after_warmup = steps - warmup_steps;
    let decay_steps = match schedule.kind {
        // Cut short, it is steeper nowhere than where it would have ended at its horizon.
        ScheduleKind::Cosine => schedule.decay_tokens.map_or(after_warmup, |horizon| {
            ((horizon / tokens_per_step).round() as usize).saturating_sub(warmup_steps).max(after_warmup)
        }),
        ScheduleKind::Wsd => {
            let wanted = schedule.decay_fraction.unwrap_or_default() * steps as f64;
            (wanted.round() as usize).clamp(1, after_warmup)
        }
        ScheduleKind::Constant => 0,
    };
    let Schedule { kind, floor, cooldown, .. } = *schedule;
    RunSchedule { kind, floor, warmup_steps, decay_steps, steps, cooldown }
}

/// Steps of warm-up that a schedule asks for, however long the run is.
pub fn warmup(schedule: &Schedule, params: f64, tokens_per_step: f64) -> f64 {
    let tokens =
        schedule.warmup_tokens.unwrap_or_else(|| schedule.warmup_tokens_per_param.unwrap_or_default() * params);
    (tokens / tokens_per_step).ceil()
}

fn too_short(model: &Candidate, length: Length, tokens: f64, steps: f64, min_steps: usize) -> String {
    let tokens_needed = tokens * min_steps as f64 / steps;
    let longer = match length {
        Length::Flops(_) => {
            format!("a budget of {} FLOPs", Flops(round_up(tokens_needed * model.flops_per_token().exact)))
        }
        Length::Tokens(_) | Length::TokensPerParam(_) => format!("{} tokens", Tokens(round_up(tokens_needed))),
    };
    let context = model.shape.context as f64;
    let sequences = (tokens / min_steps as f64 / context).floor();
    let batch = match sequences {
        0.0 => String::new(),
        _ => format!("a batch of {} tokens or ", sequences * context),
    };
    let steps = if steps < 1.0 { "less than one step".to_owned() } else { format!("{steps:.1} steps") };
    format!("{steps}, fewer than {min_steps}: use {batch}{longer}")
}

/// Up to two significant digits, so that what is printed is enough.
fn round_up(x: f64) -> f64 {
    let unit = 10_f64.powf(x.log10().floor() - 1.0);
    (x / unit).ceil() * unit
}
