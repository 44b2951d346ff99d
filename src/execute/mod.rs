//! Worker processes, claims, progress. Never burn: training is reached through one trait.
