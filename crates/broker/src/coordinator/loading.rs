//! How far a shard is: what requests are told before it serves, and when it cannot.

use esker_env::{Clock, timeout, watch};
use esker_group::GroupError;
use std::time::Duration;

/// How long a request waits for a shard that loads: most load in less, and a client that is sent away comes back later
/// than that.
const PATIENCE: Duration = Duration::from_millis(500);

/// How far a shard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its log is being read.
    Loading,
    /// It serves.
    Serving,
    /// Its log cannot be read. That is tried again now and then, and not for each request.
    Damaged,
}

/// Waits a little for a shard to serve.
pub(super) async fn serving(
    clock: &dyn Clock,
    stage: &mut watch::Receiver<Stage>,
) -> Result<(), GroupError> {
    let settled = async {
        loop {
            let now = *stage.borrow();
            match now {
                Stage::Serving => return true,
                Stage::Damaged => return false,
                Stage::Loading if stage.changed().await.is_err() => return false,
                Stage::Loading => {}
            }
        }
    };
    match timeout(clock, PATIENCE, settled).await {
        Ok(true) => Ok(()),
        // Damaged, or unloaded.
        Ok(false) => Err(GroupError::NotCoordinator),
        Err(_) => Err(GroupError::CoordinatorLoadInProgress),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_env::BoxFuture;
    use esker_types::{MonoTime, Timestamp};
    use futures_util::FutureExt;

    /// A clock whose waits are over at once, or never.
    #[derive(Debug)]
    struct Still {
        over: bool,
    }

    impl Clock for Still {
        fn now(&self) -> MonoTime {
            MonoTime::default()
        }

        fn wall(&self) -> Timestamp {
            Timestamp(0)
        }

        fn sleep_until(&self, _: MonoTime) -> BoxFuture<'static, ()> {
            if self.over { Box::pin(async {}) } else { Box::pin(std::future::pending()) }
        }
    }

    #[test]
    fn a_request_waits_for_a_shard_that_loads_and_not_for_ever() {
        let (sender, mut stage) = watch::channel(Stage::Loading);
        assert_eq!(serving(&Still { over: false }, &mut stage).now_or_never(), None, "it waits");
        let told = serving(&Still { over: true }, &mut stage).now_or_never();
        assert_eq!(told, Some(Err(GroupError::CoordinatorLoadInProgress)));
        sender.send_replace(Stage::Serving);
        assert_eq!(serving(&Still { over: true }, &mut stage).now_or_never(), Some(Ok(())));
    }

    #[test]
    fn nobody_waits_for_a_shard_that_is_damaged_or_gone() {
        let (sender, mut stage) = watch::channel(Stage::Damaged);
        let clock = Still { over: false };
        let told = serving(&clock, &mut stage).now_or_never();
        assert_eq!(told, Some(Err(GroupError::NotCoordinator)));
        sender.send_replace(Stage::Loading);
        drop(sender);
        let told = serving(&clock, &mut stage).now_or_never();
        assert_eq!(told, Some(Err(GroupError::NotCoordinator)));
    }
}
