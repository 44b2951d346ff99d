//! One integration test binary, because linking burn is slow.

mod fit;
mod plan;
mod report;
mod spec;
