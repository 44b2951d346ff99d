//! The fitter: recovery of known surfaces, and statuses where nothing can be recovered.

mod approach2;
mod surface;
mod table;
