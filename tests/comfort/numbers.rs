//! What stands on the command line that is no number to take, and what the environment says.

use crate::common::Place;

#[test]
fn a_negative_number_is_read_as_one_and_told_what_is_wrong_with_it() {
    let place = Place::with(crate::common::QUICKSTART);
    place.write("runs.csv", "params,tokens,loss\n1000000,20000000,4.0\n2000000,40000000,3.5\n");
    for (args, words) in [
        (&["fit", "runs.csv", "--approach", "3", "--delta", "-1"][..], "--delta -1: write a number above zero"),
        (&["fit", "runs.csv", "--seed", "-1"], "invalid value '-1' for '--seed"),
        (&["fit", "runs.csv", "--bootstrap", "-5"], "invalid value '-5' for '--bootstrap"),
        (&["allocate", "--fit", "runs.csv", "--flops", "-1"], "--flops -1: write a number above zero"),
        (&["plan", "spec.toml", "--price", "-2.5"], "--price -2.5: write a number above zero"),
    ] {
        let refused = place.refusal(args);
        assert!(refused.contains(words) && !refused.contains("unexpected argument"), "{args:?}: {refused}");
    }
    // What is no number is a flag as before.
    assert!(place.refusal(&["fit", "runs.csv", "--seed", "-x"]).contains("unexpected argument '-x'"));
}

#[test]
fn a_cache_that_is_set_to_nothing_is_not_set() {
    let place = Place::with(crate::common::SMALL);
    let output = place.runner(&["data", "prepare", "spec.toml"]).env("RUNNER_CACHE", "").output().unwrap();
    crate::common::assert_code(&output, 0);
    assert!(place.path("cache").is_dir());
    let output = place.runner(&["data", "prepare", "spec.toml"]).env("RUNNER_CACHE", "elsewhere").output().unwrap();
    crate::common::assert_code(&output, 0);
    assert!(place.path("elsewhere").is_dir());
}
