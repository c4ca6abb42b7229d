//! Clients that send batches which say what is not so: none of them may be stored.

use crate::clients::{Clients, pick};
use crate::effects::Effect;
use crate::model::Oracle;
use crate::producers::produce_one;
use esker_client::ClientError;
use esker_env::Entropy;
use esker_record::{BatchBuilder, BatchView, Codec, HEADER_LEN};
use esker_types::Offset;
use esker_wire::ErrorCode;

/// What a batch lies about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// More records than there are.
    Count,
    /// Fewer records than there are.
    Fewer,
    /// A record that is longer than the batch.
    RecordLength,
    /// Bytes of one codec under the name of another.
    Codec,
    /// Compressed bytes of which some are others.
    Damaged,
    /// That it is a marker of a transaction.
    Control,
    /// That it is part of a transaction.
    Transactional,
}

const LIES: [Lie; 7] = [
    Lie::Count,
    Lie::Fewer,
    Lie::RecordLength,
    Lie::Codec,
    Lie::Damaged,
    Lie::Control,
    Lie::Transactional,
];

/// Places in a batch's header: see `esker_record::header`.
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 22;
const LAST_DELTA_AT: usize = 23;
const COUNT_AT: usize = 57;

impl Lie {
    /// A batch of three records that tells it, under a right checksum.
    fn batch(self, clients: &Clients) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Offset::ZERO);
        if matches!(self, Self::Codec | Self::Damaged) {
            builder = builder.compression(Codec::Gzip, None);
        }
        let now = clients.client.env().clock.wall();
        for number in 0..3_u8 {
            builder.append(now, Some(b"liar"), Some(&[number; 40]), &[]);
        }
        let mut bytes = builder.build();
        let say = |bytes: &mut Vec<u8>, count: i32| {
            bytes[LAST_DELTA_AT..][..4].copy_from_slice(&(count - 1).to_be_bytes());
            bytes[COUNT_AT..][..4].copy_from_slice(&count.to_be_bytes());
        };
        match self {
            Self::Count => say(&mut bytes, 4),
            Self::Fewer => say(&mut bytes, 2),
            Self::RecordLength => bytes[HEADER_LEN] = 0x7e,
            Self::Codec => bytes[ATTRIBUTES_AT] = 3,
            Self::Damaged => bytes[HEADER_LEN + 12] ^= 0xff,
            Self::Control => bytes[ATTRIBUTES_AT] |= 0x20,
            Self::Transactional => bytes[ATTRIBUTES_AT] |= 0x10,
        }
        let crc = BatchView::parse(&bytes).expect("its length is right").compute_crc();
        bytes[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// What Apache Kafka answers.
    fn expected(self) -> ErrorCode {
        match self {
            Self::Transactional => ErrorCode::TransactionalIdAuthorizationFailed,
            _ => ErrorCode::InvalidRecord,
        }
    }
}

impl Clients {
    /// Sends a batch that must be refused.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn lie(&self) -> Result<(), ClientError> {
        let target = pick(&self.entropy);
        let place = self.entropy.below(LIES.len() as u64);
        let lie = LIES[usize::try_from(place).expect("below a length")];
        let code = produce_one(self, target, lie.batch(self).into()).await?;
        if code == ErrorCode::None.code() {
            let what = format!("a batch that lies about its {lie:?} was stored");
            self.model.lock().problem(Oracle::Poison, target, &what);
        } else if code == lie.expected().code() {
            self.trace.count(Effect::LieRefused);
        }
        Ok(())
    }
}
