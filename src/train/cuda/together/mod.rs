//! Runs of one form that take their steps together: each launch, and each product, is for all of them at once. Small models do
//! not keep a card busy one by one, and launches of many streams take turns.
//!
//! Their memory is alike (`slab`), so that a launch is told the addresses of the first run and how far runs lie apart (`view`). A
//! thread has the card, the memory and the steps (`owner`); each run is driven by a thread of its own as ever, which asks that
//! one (`member`). A run that reads its state, is evaluated, or has ended is left out of the steps of the others. Kernels and
//! algorithms of products are those of a run alone, so that its losses have the same bits.

mod form;
mod member;
mod owner;
mod slab;
#[cfg(all(test, feature = "cpu"))]
mod tests;
mod view;

pub use member::join;
