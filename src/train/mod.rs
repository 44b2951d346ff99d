//! The only place that knows burn: device, model, optimizer, schedule, trainer, evaluation.
