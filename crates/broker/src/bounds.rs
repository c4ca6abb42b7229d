//! How much one request may ask about: each item is short in the request and may be long in the answer.

use crate::protocol_violation::ProtocolViolation;

/// Items that a request may name, in all of its lists together. More than a cluster has partitions, and an answer that fits
/// in memory beside others.
const ITEMS_MAX: usize = 250_000;

/// Passes a request whose lists hold `items`. One that names more breaks the protocol.
pub(crate) fn check(items: usize) -> Result<(), ProtocolViolation> {
    if items > ITEMS_MAX {
        return Err(ProtocolViolation::TooManyItems { items, max: ITEMS_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_so_many_items_and_no_more() {
        check(ITEMS_MAX).unwrap();
        check(ITEMS_MAX + 1).unwrap_err();
    }
}
