//! Manual assignments: the brokers that a client wants a partition's copies on.

use crate::api_error::ApiError;
use esker_meta::State;
use esker_types::BrokerId;
use esker_wire::ErrorCode;
use std::collections::BTreeSet;

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorCode::InvalidReplicaAssignment, message)
}

/// Judges the assignments of partitions that belong to one topic. Answers the number of copies of each; `copies` is what
/// its other partitions have.
pub(crate) fn check_assignments(
    state: &State,
    assignments: impl Iterator<Item = Vec<i32>>,
    mut copies: Option<usize>,
) -> Result<Option<usize>, ApiError> {
    for brokers in assignments {
        check_brokers(|id| state.brokers.contains_key(&BrokerId(id)), &brokers)?;
        let expected = *copies.get_or_insert(brokers.len());
        if brokers.len() != expected {
            return Err(invalid(format!(
                "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
                 with previous partitions, which have {expected} replica(s).",
                brokers.len()
            )));
        }
    }
    Ok(copies)
}

/// Judges one partition's assignment: some registered brokers, each once.
fn check_brokers(is_registered: impl Fn(i32) -> bool, brokers: &[i32]) -> Result<(), ApiError> {
    let what = "The manual partition assignment includes";
    if brokers.is_empty() {
        return Err(invalid(format!("{what} an empty replica list.")));
    }
    let mut seen = BTreeSet::new();
    for id in brokers {
        if !is_registered(*id) {
            return Err(invalid(format!("{what} broker {id}, but no such broker is registered.")));
        }
        if !seen.insert(id) {
            return Err(invalid(format!("{what} the broker {id} more than once.")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn each_partition_lies_on_some_registered_brokers_once() {
        let check =
            |brokers: &[i32]| check_brokers(|id| id == 1, brokers).map_err(|error| error.message);
        check(&[1]).unwrap();
        for (brokers, what) in [
            (&[][..], "an empty replica list."),
            (&[1, 1][..], "the broker 1 more than once."),
            (&[7][..], "broker 7, but no such broker is registered."),
            (&[1, 7][..], "broker 7, but no such broker is registered."),
        ] {
            let message = Cow::from(format!("The manual partition assignment includes {what}"));
            assert_eq!(check(brokers), Err(message), "{brokers:?}");
        }
    }
}
