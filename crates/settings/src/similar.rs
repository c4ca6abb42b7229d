//! Known names that look like an unknown one.

use crate::setting::SettingError;
use crate::table::Scope;

/// Most names that are suggested.
const SUGGESTIONS_MAX: usize = 3;

/// The error for an unknown name, with the closest known names.
#[must_use]
pub fn unknown(scope: Scope, name: &str) -> SettingError {
    let limit = 1 + name.len() / 4;
    let mut scored: Vec<_> = scope
        .settings()
        .filter_map(|setting| Some((distance(name, setting.name, limit)?, setting.name)))
        .collect();
    scored.sort_unstable();
    scored.truncate(SUGGESTIONS_MAX);
    let similar = scored.into_iter().map(|(_, name)| name).collect();
    SettingError::Unknown { scope, name: name.to_owned(), similar }
}

/// Fewest insertions, deletions and replacements of a byte that lead from one to the other; `None` where these are more
/// than `limit`. Looks no further than that shows, for anybody may ask for any number of long names.
fn distance(from: &str, to: &str, limit: usize) -> Option<usize> {
    if from.len().abs_diff(to.len()) > limit {
        return None;
    }
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        let mut least = row[0];
        for (column, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
            least = least.min(row[column + 1]);
        }
        // Further lines only add to that.
        if least > limit {
            return None;
        }
    }
    Some(row[to.len()]).filter(|&distance| distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_names_are_suggested() {
        let error = unknown(Scope::Topic, "retension.ms").to_string();
        assert!(
            error.starts_with("`retension.ms` is no topic setting, did you mean `retention.ms`")
        );
        let error = unknown(Scope::Topic, "flavour").to_string();
        assert_eq!(error, "`flavour` is no topic setting");
        let error = unknown(Scope::Broker, &"x".repeat(10_000));
        assert!(matches!(error, SettingError::Unknown { similar, .. } if similar.is_empty()));
    }

    #[test]
    fn distances_end_at_the_limit() {
        assert_eq!(distance("kitten", "sitting", 3), Some(3));
        assert_eq!(distance("kitten", "sitting", 2), None);
        assert_eq!(distance("", "abc", 3), Some(3));
        assert_eq!(distance("abc", "", 2), None);
        assert_eq!(distance("Retention.MS", "retention.ms", 0), Some(0));
        // The last line's least is not its end.
        assert_eq!(distance("abcd", "abcdxyz", 3), Some(3));
        assert_eq!(distance("xyzabcd", "abcd", 2), None);
    }
}
