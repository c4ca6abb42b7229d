//! What every part of the engine needs: the world, the settings, this registration, the metadata,
//! the bucket.

use crate::options::EngineOptions;
use esker_env::{Bucket, BucketError, Env, ObjectKey};
use esker_meta::{Command, RegistrationId, Reply, State};
use esker_meta_client::{MetaClient, MetaError};
use esker_object::{Encoded, data_key};
use esker_types::{Incarnation, ObjectId, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Between two proposals of a command whose outcome is not known.
const PROPOSE_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What every part of the engine is handed.
pub(crate) struct Context {
    pub(crate) env: Env,
    pub(crate) options: EngineOptions,
    /// This broker's registration.
    pub(crate) incarnation: Incarnation,
    pub(crate) meta: Arc<dyn MetaClient>,
    pub(crate) bucket: Arc<dyn Bucket>,
}

impl Context {
    /// The newest image of the metadata.
    pub(crate) fn image(&self) -> Arc<State> {
        self.meta.image()
    }

    /// This process, as the metadata knows it.
    pub(crate) fn registration(&self) -> RegistrationId {
        RegistrationId { broker: self.options.broker, incarnation: self.incarnation }
    }

    /// Proposes until the outcome is known.
    pub(crate) async fn propose_until_known(&self, command: Command) -> Result<Reply, MetaError> {
        loop {
            match self.meta.propose(command.clone()).await {
                Err(MetaError::Unavailable(reason)) => {
                    tracing::warn!(%reason, "the metadata quorum does not answer");
                    self.env.clock.sleep(PROPOSE_AGAIN_AFTER).await;
                }
                known => return known,
            }
        }
    }

    /// Puts a data object of this registration.
    pub(crate) async fn put(&self, object: ObjectId, encoded: &Encoded) -> Result<(), BucketError> {
        let key = ObjectKey::new(&data_key(object, self.incarnation));
        self.bucket.put(&key, encoded.parts.clone()).await
    }

    /// Producers that have not written since then are forgotten.
    pub(crate) fn producer_horizon(&self) -> Timestamp {
        let expiry = self.options.producer_expiry.as_millis();
        let expiry = i64::try_from(expiry).unwrap_or(i64::MAX);
        Timestamp(self.env.clock.wall().get().saturating_sub(expiry))
    }
}
