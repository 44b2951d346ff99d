//! What makes the program pleasant: specs written and explained, plans estimated, results looked at.

mod estimate;
mod init;
mod keys;
mod looking;
mod overrides;
mod schema;
mod widths;
