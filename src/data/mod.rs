//! Corpora, tokenizer, splits, the sampler, and the built-in language.
