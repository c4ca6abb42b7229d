//! Flags of a partition's part of an object, as the object and as the metadata spell them.

use esker_meta::ExtentFlags;
use esker_object::PartFlags;

/// What both have a bit for.
const PAIRS: [(ExtentFlags, PartFlags); 6] = [
    (ExtentFlags::HAS_ABORTED, PartFlags::HAS_ABORTED),
    (ExtentFlags::HAS_TRANSACTIONS, PartFlags::HAS_TXN),
    (ExtentFlags::PRODUCERS_FULL, PartFlags::PRODUCERS_FULL),
    (ExtentFlags::COMPACTED, PartFlags::COMPACTED),
    (ExtentFlags::HAS_PRODUCERS, PartFlags::HAS_PRODUCERS),
    (ExtentFlags::NO_TIMES, PartFlags::NO_TIMES),
];

/// The metadata's flags from the object's.
pub(crate) fn extent_flags(part: PartFlags) -> ExtentFlags {
    let set = PAIRS.iter().filter(|(_, theirs)| part.contains(*theirs));
    set.fold(ExtentFlags::default(), |flags, (ours, _)| flags.with(*ours))
}

/// The object's flags from the metadata's, for an entry of a manifest.
pub(crate) fn part_flags(extent: ExtentFlags) -> PartFlags {
    let set = PAIRS.iter().filter(|(ours, _)| extent.has(*ours));
    set.fold(PartFlags::default(), |flags, (_, theirs)| flags.with(*theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_metadata_says_of_a_part_is_said_by_its_manifest_entry() {
        for bits in 0..64 {
            let extent = ExtentFlags(bits);
            assert_eq!(extent_flags(part_flags(extent)), extent);
        }
    }
}
