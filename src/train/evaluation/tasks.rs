//! What a model answers: exact matches, tokens, edits and likelihoods of tasks, each with its standard error and what a
//! model that knows nothing would reach.

use super::sequences::{batch_rows, mean_and_error};
use crate::data::{Corpus, Question};
use crate::plan::Run;
use crate::spec::{Task, TaskKind};
use crate::train::engine::Session;
use crate::trainer::{Measured, TrainError};

/// Choices of a cloze.
const CHOICES: usize = 4;

/// All measures of a task.
pub fn measure(
    session: &mut dyn Session,
    corpus: &Corpus,
    run: &Run,
    task: &Task,
) -> Result<Vec<Measured>, TrainError> {
    let questions = corpus.questions(task).map_err(|error| TrainError::Configuration(error.to_string()))?;
    let name = |measure: &str| format!("{}.{measure}", task.name());
    let losses = answer_losses(session, &questions, run.shape.context)?;
    let measured = |measure: &str, values: &[f64], chance: f64| {
        let (value, standard_error) = mean_and_error(values);
        Measured { name: name(measure), value, standard_error, chance: Some(chance) }
    };
    if task.kind == TaskKind::Cloze {
        let right = |four: &[f64]| f64::from(u8::from(four[1..].iter().all(|other| four[0] < *other)));
        let accuracy: Vec<f64> = losses.chunks_exact(CHOICES).map(right).collect();
        return Ok(vec![measured("accuracy", &accuracy, 1.0 / CHOICES as f64)]);
    }
    // Digits are ten, whatever other tokens there are.
    let choices = if task.kind == TaskKind::Addition { 10.0 } else { run.shape.vocab as f64 };
    let lengths: Vec<f64> = questions.iter().map(|question| question.answer.len() as f64).collect();
    let length = lengths.iter().sum::<f64>() / lengths.len() as f64;
    let likelihood: Vec<f64> = losses.iter().zip(&lengths).map(|(loss, length)| -loss / length).collect();
    let told = answers(session, &questions, run.shape.context)?;
    let given = |choose: fn(&Answered) -> f64| told.iter().map(choose).collect::<Vec<f64>>();
    Ok(vec![
        measured("exact_match", &given(|told| told.exact), choices.powf(-length)),
        measured("token_accuracy", &given(|told| told.accuracy), 1.0 / choices),
        // Of a guess that is as long, without the few that a shift would save.
        measured("edit_distance", &given(|told| told.edits), length * (1.0 - 1.0 / choices)),
        measured("log_likelihood", &likelihood, -choices.ln()),
    ])
}

/// Summed loss of each answer, in nats.
fn answer_losses(session: &mut dyn Session, questions: &[Question], context: usize) -> Result<Vec<f64>, TrainError> {
    let mut sums = Vec::with_capacity(questions.len());
    for batch in questions.chunks(batch_rows(context) / context) {
        let losses = session.token_losses(&flat(batch.iter().map(|question| question.tokens.as_slice())))?;
        for (question, losses) in batch.iter().zip(losses.chunks_exact(context)) {
            // The loss at a place is that of the token after it.
            let of_answer = &losses[question.answer.start - 1..question.answer.end - 1];
            sums.push(of_answer.iter().map(|loss| f64::from(*loss)).sum());
        }
    }
    Ok(sums)
}

/// How an answer was told.
struct Answered {
    /// 1 where every token is right.
    exact: f64,
    /// Share of tokens that are right after the right ones before them.
    accuracy: f64,
    /// Tokens to put in, take out or exchange in what the model writes by itself.
    edits: f64,
}

/// What the model tells, always its most likely token: after the right answer so far, and after its own.
fn answers(session: &mut dyn Session, questions: &[Question], context: usize) -> Result<Vec<Answered>, TrainError> {
    let mut told = Vec::with_capacity(questions.len());
    for batch in questions.chunks(batch_rows(context) / context) {
        let guided = session.best_tokens(&flat(batch.iter().map(|question| question.tokens.as_slice())))?;
        let mut own: Vec<Vec<u16>> = batch.iter().map(|question| question.tokens.clone()).collect();
        let longest = batch.iter().map(|question| question.answer.len()).max().unwrap_or_default();
        for at in 0..longest {
            let best = session.best_tokens(&flat(own.iter().map(Vec::as_slice)))?;
            for ((question, own), best) in batch.iter().zip(&mut own).zip(best.chunks_exact(context)) {
                let place = question.answer.start + at;
                if place < question.answer.end {
                    own[place] = best[place - 1];
                }
            }
        }
        for ((question, own), guided) in batch.iter().zip(&own).zip(guided.chunks_exact(context)) {
            let right = &question.tokens[question.answer.clone()];
            let guided = &guided[question.answer.start - 1..question.answer.end - 1];
            let hits = guided.iter().zip(right).filter(|(told, right)| told == right).count();
            let edits = edit_distance(&own[question.answer.clone()], right);
            let exact = f64::from(u8::from(edits == 0));
            told.push(Answered { exact, accuracy: hits as f64 / right.len() as f64, edits: edits as f64 });
        }
    }
    Ok(told)
}

fn flat<'a>(sequences: impl Iterator<Item = &'a [u16]>) -> Vec<u16> {
    sequences.flatten().copied().collect()
}

/// Fewest insertions, deletions and exchanges from one to the other (Levenshtein 1966).
fn edit_distance(from: &[u16], to: &[u16]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let exchanged = corner + usize::from(a != b);
            corner = row[j + 1];
            row[j + 1] = exchanged.min(corner + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::small;

    #[test]
    fn edits_are_the_fewest() {
        let cases: [(&[u16], &[u16], usize); 5] = [
            (&[1, 2, 3], &[1, 2, 3], 0),
            (&[1, 2, 3], &[2, 3, 1], 2),
            (&[9, 9], &[1, 2, 3], 3),
            (&[], &[1], 1),
            (&[1, 2, 3, 4], &[1, 3, 4], 1),
        ];
        for (from, to, edits) in cases {
            assert_eq!(edit_distance(from, to), edits, "{from:?} to {to:?}");
            assert_eq!(edit_distance(to, from), edits);
        }
    }

    /// A model that copies: after a token that it has seen it tells what came after it, at some loss, and 0 otherwise.
    struct Copier(usize);

    impl Copier {
        fn told(&self, tokens: &[u16]) -> Vec<u16> {
            let tell = |sequence: &[u16]| -> Vec<u16> {
                let after = |at: usize| {
                    let seen = sequence[..at].iter().position(|token| *token == sequence[at]);
                    seen.map_or(0, |seen| sequence[seen + 1])
                };
                (0..self.0).map(after).collect()
            };
            tokens.chunks_exact(self.0 + 1).flat_map(tell).collect()
        }
    }

    impl Session for Copier {
        fn step(&mut self, _: usize) -> Result<(), TrainError> {
            Ok(())
        }

        fn losses(&mut self) -> Result<(f32, usize), TrainError> {
            Ok((0.0, 0))
        }

        fn forget_losses(&mut self) -> Result<(), TrainError> {
            Ok(())
        }

        fn numbers(&mut self, _: usize, _: crate::optimizer::Kept) -> Result<Vec<f32>, TrainError> {
            Ok(Vec::new())
        }

        fn restore(&mut self, _: &crate::checkpoint::Place, _: f32, _: Vec<Vec<f32>>) -> Result<(), TrainError> {
            Ok(())
        }

        fn token_losses(&mut self, tokens: &[u16]) -> Result<Vec<f32>, TrainError> {
            let right = tokens.chunks_exact(self.0 + 1).flat_map(|sequence| &sequence[1..]);
            Ok(self.told(tokens).iter().zip(right).map(|(told, right)| if told == right { 0.5 } else { 9.0 }).collect())
        }

        fn best_tokens(&mut self, tokens: &[u16]) -> Result<Vec<u16>, TrainError> {
            Ok(self.told(tokens))
        }
    }

    #[test]
    fn a_model_that_copies_answers_copies_and_induction_and_no_cloze_of_a_language() {
        let cache = tempfile::tempdir().unwrap();
        let planned = small(|spec| (spec.data.vocab, spec.model.context) = (Some(4096), 64));
        let corpus = Corpus::prepare(&planned.run.data, 64, cache.path(), &mut |_| {}).unwrap();
        let of = |kind, length| {
            let task = Task { kind, questions: 50, length };
            let measured = measure(&mut Copier(64), &corpus, &planned.run, &task).unwrap();
            measured.into_iter().map(|one| (one.name, one.value, one.chance.unwrap())).collect::<Vec<_>>()
        };
        for (kind, length) in [(TaskKind::Copy, 6), (TaskKind::Induction, 10)] {
            let measured = of(kind, length);
            let values: Vec<f64> = measured.iter().map(|one| one.1).collect();
            // Now and then a token is drawn twice, and what came after the first of them is told.
            assert!(values[0] > 0.9 && values[1] > 0.95 && values[2] < 0.2 && values[3] > -1.0, "{measured:?}");
            assert!(measured[0].2 < 1e-3 && measured[2].2 > 0.99 && measured[3].2 < -8.0, "{measured:?}");
        }
        let [(name, accuracy, chance)] = of(TaskKind::Cloze, 8).try_into().expect("one measure");
        assert_eq!((name.as_str(), chance), ("cloze.8.accuracy", 0.25));
        assert!(accuracy < 1.0);
    }
}
