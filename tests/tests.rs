//! One integration test binary, because linking burn is slow.

mod fit;
mod report;
mod sweep;
