//! The built-in language: unlimited text from a seed, whose next-token distribution is known exactly.
//!
//! ```text
//! p(x | past) = w_0 u(x) + sum over components k of w_k p_k(x | c_k(past))
//! ```
//!
//! The unigram u is Zipf-Mandelbrot. The context c of a component is one to three earlier tokens at fixed distances
//! between 1 and 32. Each context has eight candidates, drawn from u by a hash of the context, with weights that halve.
//! So unigrams stay close to u, and contexts are Zipfian too: a model that learns them in the order of their frequency,
//! as many as it has room and data for, has a loss that falls as a power law (the picture of Michaud et al. 2023, arXiv
//! 2303.13506).
//!
//! A language with a shorter history has only the components that look at so few tokens, with larger weights: with a
//! history of one token it has a few thousand contexts, which small models can learn nearly all.
//!
//! Measured at 512 tokens, seed 11, context 128: the unigram's loss is 5.06 nats; knowing all bigrams gives 4.60, all
//! single tokens 4.33, and the entropy is 3.39. From a thousand to a million known contexts, what is left above the
//! entropy falls as their number to the power of -0.2, later -0.45.
//!
//! Sequence i of a split is a document of its own, generated from the seeds, the split and i alone: nothing is stored.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::alias::Alias;
use super::hash::{self, Stream};

/// A component of the mixture: its weight, and the distances back to the tokens that make its context.
const COMPONENTS: [(f64, &[usize]); 10] = [
    (0.26, &[1]),
    (0.22, &[1, 2]),
    (0.07, &[1, 3]),
    (0.05, &[2, 3]),
    (0.09, &[1, 2, 3]),
    (0.08, &[2]),
    (0.05, &[4]),
    (0.04, &[8]),
    (0.04, &[16]),
    (0.03, &[32]),
];
/// Raised with any change that gives another language: part of the fingerprint.
pub const VERSION: u32 = 1;
/// Weight of the unigram in the mixture: what the components leave.
const UNIGRAM_WEIGHT: f64 = 0.07;
/// Candidates of one context; the weight of each is twice that of the next.
const CANDIDATES: usize = 8;
/// Shift of the Zipf-Mandelbrot law u(rank) ~ (rank + shift)^-1.25, rank from 1. It flattens the head.
const SHIFT: f64 = 6.0;
/// Entropy is sampled until its standard error is below this many nats per token.
const ENTROPY_ERROR: f64 = 4e-4;
/// Sequences of one round of that sampling, and the most there are: at context 64 about 3000 are enough.
const ENTROPY_ROUND: u64 = 1024;
const ENTROPY_MOST: u64 = 64 * ENTROPY_ROUND;

/// Which sequences: the same index gives different ones in different splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Training, by the seed of the run.
    Train(u64),
    /// Validation, the same for all runs.
    Validation,
    /// The sample that the entropy is estimated on.
    Entropy,
}

/// The entropy rate of a source: no model has a lower loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entropy {
    /// Mean over the positions of a sequence, in nats per token.
    pub nats_per_token: f64,
    /// Its standard error by sampling, in nats per token.
    pub standard_error: f64,
}

/// A language: a vocabulary and a seed. Token ids are frequency ranks: 0 is the most frequent.
pub struct Language {
    seed: u64,
    vocab: usize,
    alias: Alias,
    /// `UNIGRAM_WEIGHT` x u(x): what every token has in every context.
    floor: Vec<f64>,
    /// -floor ln floor, and its sum.
    floor_terms: Vec<f64>,
    floor_entropy: f64,
    /// Weights of the components, 0 where they look at too many tokens.
    weights: [f64; COMPONENTS.len()],
    /// Cumulated weights of the components; the rest is the unigram's.
    cumulated: [f64; COMPONENTS.len()],
    candidate_weights: [f64; CANDIDATES],
}

impl Language {
    /// The language of a seed over `vocab` tokens, at most 65536, that looks at so many tokens together, at most
    /// three.
    pub fn new(vocab: usize, seed: u64, history: u8) -> Self {
        // 1.25 is 1 + 1/4, and roots are exactly rounded: the same weights on every machine, which powf does not promise.
        let mut unigram: Vec<f64> = (1..=vocab)
            .map(|rank| {
                let x = rank as f64 + SHIFT;
                1.0 / (x * x.sqrt().sqrt())
            })
            .collect();
        let total: f64 = unigram.iter().sum();
        for u in &mut unigram {
            *u /= total;
        }
        let floor: Vec<f64> = unigram.iter().map(|u| UNIGRAM_WEIGHT * u).collect();
        let floor_terms: Vec<f64> = floor.iter().copied().map(surprise).collect();
        let all: f64 = COMPONENTS.iter().map(|(weight, _)| weight).sum();
        let kept = COMPONENTS.map(|(weight, lags)| if lags.len() <= usize::from(history) { weight } else { 0.0 });
        // 1 exactly where all are kept.
        let scale = all / kept.iter().sum::<f64>();
        let weights = kept.map(|weight| weight * scale);
        let mut sum = 0.0;
        let cumulated = weights.map(|weight| {
            sum += weight;
            sum
        });
        let halves: [f64; CANDIDATES] = std::array::from_fn(|j| 1.0 / f64::from(1_u32 << j));
        let total: f64 = halves.iter().sum();
        Self {
            seed,
            vocab,
            alias: Alias::new(&unigram),
            floor_entropy: floor_terms.iter().sum(),
            floor,
            floor_terms,
            weights,
            cumulated,
            candidate_weights: halves.map(|weight| weight / total),
        }
    }

    /// Appends sequence number `index` of a split: `length` token ids.
    pub fn sequence(&self, split: Split, index: u64, length: usize, out: &mut Vec<u16>) {
        let split = match split {
            Split::Train(seed) => hash::key(&[0, seed]),
            Split::Validation => hash::key(&[1]),
            Split::Entropy => hash::key(&[2]),
        };
        let mut stream = Stream::new(hash::key(&[self.seed, split, index]));
        let start = out.len();
        for _ in 0..length {
            let (which, draw) = (hash::unit(stream.word()), stream.word());
            let token = match self.cumulated.iter().position(|&bound| which < bound) {
                Some(component) => {
                    let context = self.context(component, &out[start..]);
                    self.candidate(context, self.candidate_index(hash::unit(draw)))
                }
                None => self.alias.draw(draw),
            };
            out.push(token);
        }
    }

    /// Hash of the component's context after `past`. Before the beginning stands a symbol of its own.
    fn context(&self, component: usize, past: &[u16]) -> u64 {
        let start = hash::key(&[self.seed, 3, component as u64]);
        COMPONENTS[component].1.iter().fold(start, |hash, &lag| {
            let token = past.len().checked_sub(lag).map_or(self.vocab as u64, |at| u64::from(past[at]));
            hash::chain(hash, token)
        })
    }

    fn candidate(&self, context: u64, index: usize) -> u16 {
        self.alias.draw(hash::chain(context, index as u64))
    }

    fn candidate_index(&self, mut draw: f64) -> usize {
        for (index, weight) in self.candidate_weights.iter().enumerate() {
            if draw < *weight {
                return index;
            }
            draw -= weight;
        }
        CANDIDATES - 1
    }

    /// The tokens that are likelier after `past` than their floor, sorted, with what the components add to each.
    fn raised(&self, past: &[u16], out: &mut Vec<(u16, f64)>) {
        out.clear();
        for (component, weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            let context = self.context(component, past);
            out.extend((0..CANDIDATES).map(|j| (self.candidate(context, j), weight * self.candidate_weights[j])));
        }
        out.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        out.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
    }

    /// p(x | past) for every token x. Exact.
    pub fn distribution(&self, past: &[u16]) -> Vec<f64> {
        let mut raised = Vec::new();
        self.raised(past, &mut raised);
        let mut probabilities = self.floor.clone();
        for (token, more) in raised {
            probabilities[usize::from(token)] += more;
        }
        probabilities
    }

    /// Entropy of p(x | past) in nats: exact, in the time of the few tokens above their floor. `scratch` is reused.
    fn conditional_entropy(&self, past: &[u16], scratch: &mut Vec<(u16, f64)>) -> f64 {
        self.raised(past, scratch);
        scratch.iter().fold(self.floor_entropy, |sum, &(token, more)| {
            let token = usize::from(token);
            sum + surprise(self.floor[token] + more) - self.floor_terms[token]
        })
    }

    /// Mean entropy of positions 1 to `context` of a sequence, that is of the tokens that a model is asked to predict:
    /// a sample over sequences (which are independent) of the exact conditional entropy.
    pub fn entropy(&self, context: usize) -> Entropy {
        let mean_of_sequence = |index: u64| {
            let (mut tokens, mut scratch) = (Vec::with_capacity(context), Vec::new());
            self.sequence(Split::Entropy, index, context, &mut tokens);
            let sum: f64 = (1..=context).map(|t| self.conditional_entropy(&tokens[..t], &mut scratch)).sum();
            sum / context as f64
        };
        let mut means: Vec<f64> = Vec::new();
        loop {
            let first = means.len() as u64;
            // Collected in order, so that the sum does not depend on the number of threads.
            means.par_extend((first..first + ENTROPY_ROUND).into_par_iter().map(mean_of_sequence));
            let n = means.len() as f64;
            let mean = means.iter().sum::<f64>() / n;
            let variance = means.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let standard_error = (variance / n).sqrt();
            if standard_error < ENTROPY_ERROR || means.len() as u64 >= ENTROPY_MOST {
                return Entropy { nats_per_token: mean, standard_error };
            }
        }
    }
}

/// -p ln p.
fn surprise(p: f64) -> f64 {
    -p * p.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::LONGEST_HISTORY;

    const VOCAB: usize = 512;
    const CONTEXT: usize = 64;

    fn tokens(language: &Language, first: u64, sequences: u64) -> Vec<Vec<u16>> {
        (first..first + sequences)
            .map(|index| {
                let mut out = Vec::new();
                language.sequence(Split::Train(0), index, CONTEXT + 1, &mut out);
                out
            })
            .collect()
    }

    #[test]
    fn probabilities_sum_to_one_and_their_entropy_is_the_short_sum() {
        let language = Language::new(VOCAB, 11, LONGEST_HISTORY);
        let text = &tokens(&language, 0, 1)[0];
        for past in (0..CONTEXT).map(|t| &text[..t]) {
            let distribution = language.distribution(past);
            assert!((distribution.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let direct: f64 = distribution.iter().copied().map(surprise).sum();
            assert!((language.conditional_entropy(past, &mut Vec::new()) - direct).abs() < 1e-10);
        }
    }

    /// Losses of the true distribution on a thousand fresh sequences, behind their mean.
    fn true_losses(language: &Language) -> (f64, Vec<f64>) {
        let loss_of = |text: &Vec<u16>| {
            let loss = |t: usize| -language.distribution(&text[..t])[usize::from(text[t])].ln();
            (1..=CONTEXT).map(loss).sum::<f64>() / CONTEXT as f64
        };
        let losses: Vec<f64> = tokens(language, 0, 1000).par_iter().map(loss_of).collect();
        (losses.iter().sum::<f64>() / 1000.0, losses)
    }

    #[test]
    fn the_entropy_is_the_loss_of_the_true_distribution_on_fresh_text() {
        let language = Language::new(VOCAB, 11, LONGEST_HISTORY);
        let entropy = language.entropy(CONTEXT);
        assert!(entropy.standard_error < 5e-4, "{entropy:?}");
        let (mean, losses) = true_losses(&language);
        let variance = losses.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 999.0;
        let standard_error = (variance / 1000.0 + entropy.standard_error.powi(2)).sqrt();
        assert!((mean - entropy.nats_per_token).abs() < 4.0 * standard_error, "{mean} {standard_error} {entropy:?}");
        assert!(standard_error < 0.02, "the test is too weak to fail: {standard_error}");
    }

    #[test]
    fn frequencies_fall_with_the_rank_as_zipf_says() {
        let language = Language::new(VOCAB, 11, LONGEST_HISTORY);
        let mut counts = vec![0.0_f64; VOCAB];
        tokens(&language, 0, 4000).iter().flatten().for_each(|&token| counts[usize::from(token)] += 1.0);
        counts.sort_by(|a, b| b.total_cmp(a));
        // Ranks 8 to 256: the slope of the law itself is -1.25 x rank / (rank + shift), about -1.0 in the mean.
        let points: Vec<(f64, f64)> = (8..=256).map(|rank| ((rank as f64).ln(), counts[rank - 1].ln())).collect();
        let n = points.len() as f64;
        let (x, y) = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0 / n, sum.1 + p.1 / n));
        let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>()
            / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>();
        assert!((-1.4..-0.9).contains(&slope), "{slope}");
        assert!(counts[VOCAB - 1] > 0.0, "every token occurs");
    }

    /// Loss of a bigram model counted on `sequences` sequences, smoothed by the unigram's counts, and of that unigram.
    fn counted_losses(language: &Language, sequences: u64) -> (f64, f64) {
        let mut unigram = vec![1.0_f64; VOCAB];
        let mut bigram = vec![0.0_f64; VOCAB * VOCAB];
        let mut row = vec![0.0_f64; VOCAB];
        for text in tokens(language, 1000, sequences) {
            for pair in text.windows(2) {
                let (before, after) = (usize::from(pair[0]), usize::from(pair[1]));
                unigram[after] += 1.0;
                bigram[before * VOCAB + after] += 1.0;
                row[before] += 1.0;
            }
        }
        let total: f64 = unigram.iter().sum();
        let (mut bigram_loss, mut unigram_loss, mut n) = (0.0, 0.0, 0.0);
        for text in tokens(language, 0, 500) {
            for pair in text.windows(2) {
                let (before, after) = (usize::from(pair[0]), usize::from(pair[1]));
                let p = unigram[after] / total;
                unigram_loss -= p.ln();
                bigram_loss -= ((bigram[before * VOCAB + after] + 30.0 * p) / (row[before] + 30.0)).ln();
                n += 1.0;
            }
        }
        (bigram_loss / n, unigram_loss / n)
    }

    #[test]
    fn a_bigram_model_lies_between_the_unigram_and_the_entropy_and_improves_with_data() {
        let language = Language::new(VOCAB, 11, LONGEST_HISTORY);
        let entropy = language.entropy(CONTEXT).nats_per_token;
        let losses = [100, 1000, 10_000].map(|sequences| counted_losses(&language, sequences));
        println!("entropy {entropy:.4}, bigram and unigram losses {losses:?}");
        let (best, unigram) = losses[2];
        assert!(entropy + 0.3 < best && best + 0.1 < unigram && unigram < 5.2, "{entropy} {best} {unigram}");
        assert!(losses[0].0 > losses[1].0 + 0.05 && losses[1].0 > losses[2].0 + 0.02, "{losses:?}");
    }

    /// Loss of the true distribution with only some of the components known: the others stand for their mean, u.
    fn loss_knowing(language: &Language, known: &dyn Fn(&[usize]) -> bool, sequences: u64) -> f64 {
        let (mut sum, mut n, mut raised) = (0.0, 0.0, vec![0.0; VOCAB_OF_QUICKSTART]);
        for text in tokens(language, 0, sequences) {
            for t in 1..=CONTEXT {
                let mut left = UNIGRAM_WEIGHT;
                raised.fill(0.0);
                for (component, (weight, lags)) in COMPONENTS.iter().enumerate() {
                    if !known(lags) {
                        left += weight;
                        continue;
                    }
                    let context = language.context(component, &text[..t]);
                    for (j, share) in language.candidate_weights.iter().enumerate() {
                        raised[usize::from(language.candidate(context, j))] += weight * share;
                    }
                }
                let next = usize::from(text[t]);
                sum -= (raised[next] + language.floor[next] / UNIGRAM_WEIGHT * left).ln();
                n += 1.0;
            }
        }
        sum / n
    }

    const VOCAB_OF_QUICKSTART: usize = 256;

    /// Why a grid of small models does not find the entropy (docs/log.md): most of what lies between the loss of single
    /// tokens and the entropy is in contexts of two and three tokens, of which there are too many to learn.
    #[test]
    fn contexts_of_several_tokens_hold_most_of_what_small_models_have_not_learnt() {
        let language = Language::new(VOCAB_OF_QUICKSTART, 1, LONGEST_HISTORY);
        let knowing = |known: &dyn Fn(&[usize]) -> bool| loss_knowing(&language, known, 1500);
        let none = knowing(&|_| false);
        let near = knowing(&|lags| lags.len() == 1 && lags[0] <= 2);
        let single = knowing(&|lags| lags.len() == 1);
        let pairs = knowing(&|lags| lags.len() <= 2);
        let all = knowing(&|_| true);
        println!("none {none:.3}, near {near:.3}, single tokens {single:.3}, and pairs {pairs:.3}, all {all:.3}");
        assert!(none > near && near > single && single > pairs && pairs > all);
        assert!((all - language.entropy(CONTEXT).nats_per_token).abs() < 0.03, "{all}");
        assert!(single - all > 0.6, "what several tokens tell: {single} {all}");
    }

    #[test]
    fn a_shorter_history_has_fewer_contexts_and_its_probabilities_are_still_the_truth() {
        let [one, two, three] = [1, 2, 3].map(|history| Language::new(VOCAB, 11, history));
        for language in [&one, &two, &three] {
            let sum: f64 = language.weights.iter().sum::<f64>() + UNIGRAM_WEIGHT;
            assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        }
        let bits = |weights: [f64; COMPONENTS.len()]| weights.map(f64::to_bits);
        assert_eq!(bits(three.weights), bits(COMPONENTS.map(|(weight, _)| weight)), "as before there was a choice");
        let entropy = one.entropy(CONTEXT);
        let (mean, _) = true_losses(&one);
        assert!((mean - entropy.nats_per_token).abs() < 0.03, "{mean} {entropy:?}");
        // What a table of all pairs of neighbours can know is nearer to the truth, as there is less else to know.
        let left = |language: &Language| counted_losses(language, 10_000).0 - language.entropy(CONTEXT).nats_per_token;
        assert!(left(&one) < left(&two) && left(&two) < left(&three), "{} {} {}", left(&one), left(&two), left(&three));
    }

    #[test]
    fn sequences_are_of_their_seeds_split_and_index_alone() {
        let language = Language::new(VOCAB, 1, LONGEST_HISTORY);
        let sequence = |language: &Language, split, index, length| {
            let mut out = vec![9];
            language.sequence(split, index, length, &mut out);
            out.split_off(1)
        };
        let base = sequence(&language, Split::Train(5), 3, 40);
        assert_eq!(base, sequence(&Language::new(VOCAB, 1, LONGEST_HISTORY), Split::Train(5), 3, 60)[..40]);
        assert_ne!(base, sequence(&language, Split::Train(6), 3, 40));
        assert_ne!(base, sequence(&language, Split::Validation, 3, 40));
        assert_ne!(base, sequence(&language, Split::Train(5), 4, 40));
        assert_ne!(base, sequence(&Language::new(VOCAB, 2, LONGEST_HISTORY), Split::Train(5), 3, 40));
    }
}
