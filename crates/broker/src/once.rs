//! What a request asks for twice is answered once where the answer is longer than the question.

use std::collections::BTreeSet;

/// Each item once, in the order in which they come first. A name takes some bytes of a request, and what is said of it may
/// take megabytes: without this, one request asks for more memory than there is.
pub(crate) fn once<T: Ord + Copy>(items: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    let mut seen = BTreeSet::new();
    items.filter(move |item| seen.insert(*item))
}

#[cfg(test)]
mod tests {
    use super::once;

    #[test]
    fn each_comes_once_in_the_order_of_its_first() {
        let found: Vec<_> = once(["b", "a", "b", "c", "a"].into_iter()).collect();
        assert_eq!(found, ["b", "a", "c"]);
    }
}
