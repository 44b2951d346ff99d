//! One integration test binary, because linking burn is slow.

mod data;
mod fit;
mod report;
mod sweep;
