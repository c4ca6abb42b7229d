//! How much one request may ask about where each item is short in the request and long in the answer.

/// Items that a request may name. More than a cluster has partitions, and an answer that fits in memory beside others.
const ITEMS_MAX: usize = 250_000;

/// Passes a request that names `items`, topic by topic. One that names more breaks the protocol.
pub(crate) fn check(items: impl Iterator<Item = usize>) -> Result<(), String> {
    let count = items.fold(0, usize::saturating_add);
    if count > ITEMS_MAX {
        return Err(format!("the request names {count} items, more than {ITEMS_MAX}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_topics_count_together() {
        assert!(check([ITEMS_MAX - 1, 1].into_iter()).is_ok());
        assert!(check([ITEMS_MAX, 1].into_iter()).is_err());
        assert!(check([usize::MAX, usize::MAX].into_iter()).is_err());
    }
}
