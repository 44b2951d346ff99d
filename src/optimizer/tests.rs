//! The table of optimizers, and each step against its paper's formula written out plainly.

use super::*;

#[test]
fn a_name_in_a_spec_is_the_name_in_the_table() {
    for kind in OptimizerKind::ALL {
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{:?}", kind.part().name));
    }
}

#[test]
fn what_an_optimizer_does_not_step_itself_adamw_steps_and_its_keys_are_read() {
    for kind in OptimizerKind::ALL {
        for role in Role::ALL {
            let own = kind.of(role).part();
            assert!(own.steps.contains(&role), "{} leaves {role:?} alone", kind.part().name);
            assert!(own.keys.iter().all(|key| kind.part().keys.contains(key)), "{} for {role:?}", own.name);
            assert_eq!(own.keeps.first(), Some(&Kept::Value));
        }
    }
}
