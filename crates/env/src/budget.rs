//! Memory as a budget: nothing that clients can make grow is allocated without a permit.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A pool of bytes, handed out by permits. Waiting is first come, first served.
#[derive(Debug, Clone)]
pub struct Budget {
    semaphore: Arc<Semaphore>,
    total: usize,
}

/// Bytes taken from a [`Budget`]; dropping it gives them back. It travels with the memory it stands for.
#[derive(Debug)]
pub struct Permit {
    permit: OwnedSemaphorePermit,
}

impl Budget {
    /// A pool of `total` bytes.
    #[must_use]
    pub fn new(total: usize) -> Self {
        Self { semaphore: Arc::new(Semaphore::new(total)), total }
    }

    /// Takes `bytes`, waiting until they are free. A request above the whole pool takes the whole pool, so that
    /// one large item passes alone instead of waiting for ever.
    pub async fn acquire(&self, bytes: usize) -> Permit {
        let permit = Arc::clone(&self.semaphore)
            .acquire_many_owned(self.clamp(bytes))
            .await
            .expect("a budget is never closed");
        Permit { permit }
    }

    /// Takes `bytes` if they are free now.
    #[must_use]
    pub fn try_acquire(&self, bytes: usize) -> Option<Permit> {
        let permit = Arc::clone(&self.semaphore).try_acquire_many_owned(self.clamp(bytes)).ok()?;
        Some(Permit { permit })
    }

    /// Bytes not handed out.
    #[must_use]
    pub fn available(&self) -> usize {
        self.semaphore.available_permits()
    }

    /// Size of the pool in bytes.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    fn clamp(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.total)).unwrap_or(u32::MAX)
    }
}

impl Permit {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.permit.num_permits()
    }

    /// Adds another permit of the same budget to this one.
    ///
    /// # Panics
    /// If `other` is of another budget.
    pub fn merge(&mut self, other: Self) {
        self.permit.merge(other.permit);
    }

    /// Hands on `bytes` of what it holds; `None` where that is less.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Option<Self> {
        Some(Self { permit: self.permit.split(bytes)? })
    }

    /// Gives back all but `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let excess = self.bytes().saturating_sub(bytes);
        drop(self.permit.split(excess));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_given_back() {
        let budget = Budget::new(100);
        let mut permit = budget.try_acquire(60).unwrap();
        assert!(budget.try_acquire(50).is_none());
        assert!(permit.split(61).is_none());
        let part = permit.split(20).unwrap();
        assert_eq!((permit.bytes(), part.bytes(), budget.available()), (40, 20, 40));
        drop(part);
        permit.shrink_to(10);
        assert_eq!(budget.available(), 90);
        drop(permit);
        assert_eq!(budget.available(), 100);
    }

    #[test]
    fn an_oversized_request_takes_the_whole_pool() {
        let budget = Budget::new(100);
        let permit = budget.try_acquire(1 << 40).unwrap();
        assert_eq!((permit.bytes(), budget.available()), (100, 0));
    }
}
