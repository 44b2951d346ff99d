//! Laws other than the approaches to the optimum, one file each. [`law`] holds what they share.

pub mod broken;
pub mod compare;
pub mod composition;
pub mod contrast;
pub mod critical_batch;
pub mod emergence;
pub mod forms;
pub mod gradient_noise;
pub mod kaplan;
pub mod law;
pub mod power;
pub mod pruning;
pub mod rank;
pub mod repetition;
pub mod written;
