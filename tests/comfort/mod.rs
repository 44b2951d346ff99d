//! What makes the program pleasant: specs written and explained, plans estimated, results looked at.

mod estimate;
mod headline;
mod init;
mod json;
mod keys;
mod looking;
mod mistakes;
mod numbers;
mod overrides;
mod schema;
mod widths;
