//! The fitter: recovery of known surfaces, and statuses where nothing can be recovered.

mod allocate;
mod apart;
mod approach1;
mod approach2;
mod approach3;
mod choose;
mod coverage;
mod curves;
mod formats;
mod formula;
mod law;
mod pool;
mod porian;
mod pruning;
mod shared;
mod steep;
mod surface;
mod table;
mod vpnls;
