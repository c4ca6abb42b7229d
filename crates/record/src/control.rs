//! Control records: the markers that end a transaction in a partition.

/// Version that Kafka writes in control keys and values; later ones are read as this one.
const VERSION: i16 = 0;

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlType {
    /// The producer's open transaction is void.
    Abort,
    /// The producer's open transaction counts.
    Commit,
    /// A type that belongs to Kafka's metadata log or to the future; skipped.
    Other(i16),
}

/// Why a control record does not parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Too few bytes.
    #[error("a control record of {0} bytes is cut off")]
    Short(usize),
    /// A version below zero.
    #[error("control record version {0} does not exist")]
    Version(i16),
    /// A marker was expected and another type is there.
    #[error("control record type {0} ends no transaction")]
    NoMarker(i16),
}

/// Splits the leading version off; later versions only add fields behind.
fn after_version(bytes: &[u8]) -> Result<&[u8], ControlError> {
    let (version, rest) = bytes.split_first_chunk().ok_or(ControlError::Short(bytes.len()))?;
    let version = i16::from_be_bytes(*version);
    if version < VERSION { Err(ControlError::Version(version)) } else { Ok(rest) }
}

/// Reads the type out of the key of a control record.
///
/// # Errors
/// [`ControlError`] when the key is too short or its version negative.
pub fn control_type(key: &[u8]) -> Result<ControlType, ControlError> {
    let rest = after_version(key)?;
    let number = rest.first_chunk().ok_or(ControlError::Short(key.len()))?;
    Ok(match i16::from_be_bytes(*number) {
        0 => ControlType::Abort,
        1 => ControlType::Commit,
        other => ControlType::Other(other),
    })
}

/// The marker that ends a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Whether the transaction counts.
    pub commit: bool,
    /// Leader epoch of the transaction coordinator's partition; older coordinators are fenced by it.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// The key of the control record.
    #[must_use]
    pub fn key(&self) -> [u8; 4] {
        let [high, low] = VERSION.to_be_bytes();
        [high, low, 0, u8::from(self.commit)]
    }

    /// The value of the control record.
    #[must_use]
    pub fn value(&self) -> [u8; 6] {
        let [high, low] = VERSION.to_be_bytes();
        let [a, b, c, d] = self.coordinator_epoch.to_be_bytes();
        [high, low, a, b, c, d]
    }

    /// Reads a marker from key and value of a control record.
    ///
    /// # Errors
    /// [`ControlError`] when either is damaged or the record is no marker.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, ControlError> {
        let commit = match control_type(key)? {
            ControlType::Abort => false,
            ControlType::Commit => true,
            ControlType::Other(number) => return Err(ControlError::NoMarker(number)),
        };
        let rest = after_version(value)?;
        let epoch = rest.first_chunk().ok_or(ControlError::Short(value.len()))?;
        Ok(Self { commit, coordinator_epoch: i32::from_be_bytes(*epoch) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_round_trip_and_later_versions_are_read() {
        for commit in [false, true] {
            let marker = EndTxnMarker { commit, coordinator_epoch: -7 };
            assert_eq!(EndTxnMarker::decode(&marker.key(), &marker.value()), Ok(marker));
        }
        assert_eq!(control_type(&[0, 9, 0, 1, 5, 5]), Ok(ControlType::Commit));
        assert_eq!(control_type(&[0, 0, 0, 2]), Ok(ControlType::Other(2)));
        assert_eq!(control_type(&[0xff, 0xff, 0, 1]), Err(ControlError::Version(-1)));
        assert_eq!(control_type(&[0, 0, 1]), Err(ControlError::Short(3)));
        assert_eq!(EndTxnMarker::decode(&[0, 0, 0, 1], &[0, 0, 1]), Err(ControlError::Short(3)));
    }
}
