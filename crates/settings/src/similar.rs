//! Known names that look like an unknown one.

use crate::setting::SettingError;
use crate::table::Scope;

/// Most names that are suggested.
const SUGGESTIONS_MAX: usize = 3;

/// Longest name that is compared with the table: comparing takes time in its square.
const NAME_LEN_MAX: usize = 200;

/// The error for an unknown name, with the closest known names.
#[must_use]
pub fn unknown(scope: Scope, name: &str) -> SettingError {
    let mut scored: Vec<_> = if name.len() <= NAME_LEN_MAX {
        scope.settings().map(|setting| (distance(name, setting.name), setting.name)).collect()
    } else {
        Vec::new()
    };
    let limit = 1 + name.len() / 4;
    scored.retain(|(distance, _)| *distance <= limit);
    scored.sort_unstable();
    scored.truncate(SUGGESTIONS_MAX);
    let similar = scored.into_iter().map(|(_, name)| name).collect();
    SettingError::Unknown { scope, name: name.to_owned(), similar }
}

/// Fewest insertions, deletions and replacements of a byte that lead from one to the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
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
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
