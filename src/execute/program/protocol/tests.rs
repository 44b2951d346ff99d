use super::*;
use crate::plan::testing::planned;

fn hear(story: &mut Story, text: &str, on_progress: OnProgress<'_>) {
    let line = Line { number: 1, stream: Stream::Out, text: text.to_owned(), cut: false };
    let heard = story.hear(&line, on_progress);
    assert!(heard.is_ok_and(|heard| heard.is_continue()), "{text}");
}

/// Whoever writes in place has a moment with nothing written; other names of the files would show it.
#[test]
fn what_is_kept_for_the_next_attempt_is_replaced_as_a_whole() {
    let (dir, run) = (tempfile::tempdir().unwrap(), planned(1, 0));
    let mut story = Story::new(&run, dir.path(), Instant::now());
    let [files, before] =
        ["", "before-"].map(|mark| [TOLD, "curve.jsonl"].map(|name| dir.path().join(format!("{mark}{name}"))));
    let read = |files: &[PathBuf; 2]| files.clone().map(|path| fs::read_to_string(path).unwrap());
    hear(&mut story, r#"{"step": 10, "loss": 5.5, "layers": 3}"#, &mut |_| ControlFlow::Continue(()));
    let kept = read(&files);
    files.iter().zip(&before).for_each(|(file, before)| fs::hard_link(file, before).unwrap());
    hear(&mut story, r#"{"step": 20, "loss": 5.0, "layers": 4}"#, &mut |_| ControlFlow::Continue(()));
    assert_eq!(read(&before), kept);
    assert!(kept[0].contains("3.0") && read(&files)[0].contains("4.0"), "{kept:?}");
    assert!(kept[1].lines().count() == 1 && read(&files)[1].lines().count() == 2, "{kept:?}");
}

#[test]
fn a_point_of_an_earlier_attempt_is_told_with_its_seconds() {
    let (dir, run) = (tempfile::tempdir().unwrap(), planned(1, 0));
    let kept = r#"{"step":10,"tokens":2560,"train_loss":5.5,"learning_rate":0.01,"seconds":3600.0}"#;
    fs::write(dir.path().join("curve.jsonl"), format!("{kept}\n")).unwrap();
    let mut story = Story::new(&run, dir.path(), Instant::now());
    let mut told = Vec::new();
    hear(&mut story, r#"{"step": 20, "loss": 5.0}"#, &mut |progress| {
        told.push((progress.step, progress.again, progress.seconds >= 3600.0, progress.tokens_per_second.is_nan()));
        ControlFlow::Continue(())
    });
    assert_eq!(told, [(10, true, true, true), (20, false, true, false)]);
}
