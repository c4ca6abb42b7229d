//! What a request says twice: answered once where the answer is longer than the question, or refused.

use std::collections::BTreeSet;

/// The items whose key comes for the first time, and all that have none. A name takes some bytes of a request, and what is
/// said of it may take megabytes: without this, one request asks for more memory than there is.
pub(crate) fn once<T, K: Ord>(
    items: impl Iterator<Item = T>,
    key: impl Fn(&T) -> Option<K>,
) -> impl Iterator<Item = T> {
    let mut seen = BTreeSet::new();
    items.filter(move |item| key(item).is_none_or(|key| seen.insert(key)))
}

/// What comes more than once. Kafka refuses such a request's items, every one of them, where doing one of them twice would
/// leave open what was meant.
pub(crate) fn named_twice<K: Ord + Clone>(keys: impl Iterator<Item = K>) -> BTreeSet<K> {
    let mut seen = BTreeSet::new();
    keys.filter(|key| !seen.insert(key.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::{named_twice, once};

    #[test]
    fn each_comes_once_in_the_order_of_its_first() {
        let found: Vec<_> =
            once(["b", "a", "b", "c", "a"].into_iter(), |item| Some(*item)).collect();
        assert_eq!(found, ["b", "a", "c"]);
    }

    #[test]
    fn what_comes_more_than_once_is_found() {
        let found = named_twice(["b", "a", "b", "c", "b"].into_iter());
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn what_has_no_key_always_comes() {
        let found: Vec<_> =
            once([1, 2, 1, 2].into_iter(), |item| (*item == 1).then_some(())).collect();
        assert_eq!(found, [1, 2, 2]);
    }
}
