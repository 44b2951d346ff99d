//! The layers that models are made of on the card, a file each: what it keeps, its launches, and in which order they come.

mod activation;
mod attention;
mod heads;
mod linear;
mod stream;

pub use activation::{Activation, Function};
pub use attention::Attention;
pub use heads::Heads;
pub use linear::Linear;
pub use stream::{Later, Normalized, Source, Stream};
