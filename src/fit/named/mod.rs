//! Every law by its name: which can be asked for, and what any of them says.

mod fitted;
mod law;

pub use fitted::Fitted;
pub use law::Law;
