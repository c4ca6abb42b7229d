//! A timetable: when things are due, whatever became of earlier ones.

use esker_env::{BoxFuture, Clock};
use esker_types::MonoTime;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

/// Timers are exact to about a millisecond; closer than this the time is awaited by looking at the clock.
const TIMER_SLACK: Duration = Duration::from_micros(1500);

/// Due times at a fixed distance, and the wait for the next one.
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    begin: MonoTime,
    /// Nanoseconds between two; 0 when there is no timetable.
    interval: u64,
    /// How long what is due waits for more.
    linger: Duration,
    /// How many have been taken.
    taken: u64,
    timer: Option<BoxFuture<'static, ()>>,
}

impl Pace {
    /// `rate` a second; `None` for as fast as possible.
    pub(crate) fn new(clock: Arc<dyn Clock>, begin: MonoTime, rate: Option<f64>) -> Self {
        let interval = rate.map_or(0, |rate| {
            let nanos = Duration::from_secs_f64(1.0 / rate.max(1e-3)).as_nanos();
            u64::try_from(nanos).unwrap_or(u64::MAX).max(1)
        });
        Self { clock, begin, interval, linger: Duration::ZERO, taken: 0, timer: None }
    }

    /// What is due waits for more, as long as the first of it has not waited `linger`.
    pub(crate) fn lingering(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    fn due(&self) -> MonoTime {
        let after = self.interval.saturating_mul(self.taken);
        self.begin.plus(Duration::from_nanos(after))
    }

    /// Whether what is due has waited for more.
    pub(crate) fn is_ripe(&self, now: MonoTime) -> bool {
        self.interval == 0 || self.due().plus(self.linger) <= now
    }

    /// Takes the next one if it is due by `now`: the time at which it was.
    pub(crate) fn take(&mut self, now: MonoTime) -> Option<MonoTime> {
        if self.interval == 0 {
            self.taken += 1;
            return Some(now);
        }
        let due = self.due();
        (due <= now).then(|| {
            self.taken += 1;
            due
        })
    }

    /// Has the task polled again when the next one is due and has lingered. Call it after [`Pace::take`] gave nothing, or
    /// what is due was not ripe.
    pub(crate) fn wait(&mut self, context: &mut Context<'_>) {
        let due = self.due().plus(self.linger);
        let left = due.since(self.clock.now());
        if left <= TIMER_SLACK {
            self.timer = None;
            context.waker().wake_by_ref();
            return;
        }
        let clock = &self.clock;
        let timer = self.timer.get_or_insert_with(|| clock.sleep(left.saturating_sub(TIMER_SLACK)));
        if timer.as_mut().poll(context).is_ready() {
            self.timer = None;
            context.waker().wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_env::real::SystemClock;

    #[test]
    fn what_was_late_is_due_when_it_was_due() {
        let begin = MonoTime(1_000_000);
        let mut pace = Pace::new(Arc::new(SystemClock::new()), begin, Some(1000.0));
        assert_eq!(pace.take(MonoTime(999_999)), None);
        assert_eq!(pace.take(MonoTime(5_500_000)), Some(MonoTime(1_000_000)));
        let later: Vec<_> = std::iter::from_fn(|| pace.take(MonoTime(5_500_000))).collect();
        assert_eq!(later, [2, 3, 4, 5].map(|millis| MonoTime(millis * 1_000_000)));
    }

    #[test]
    fn what_is_due_waits_for_more() {
        let begin = MonoTime(1_000_000);
        let pace = Pace::new(Arc::new(SystemClock::new()), begin, Some(1000.0));
        let mut pace = pace.lingering(Duration::from_millis(2));
        assert!(!pace.is_ripe(MonoTime(2_999_999)) && pace.is_ripe(MonoTime(3_000_000)));
        let taken: Vec<_> = std::iter::from_fn(|| pace.take(MonoTime(3_000_000))).collect();
        assert_eq!(taken, [1, 2, 3].map(|millis| MonoTime(millis * 1_000_000)));
        assert!(!pace.is_ripe(MonoTime(5_999_999)) && pace.is_ripe(MonoTime(6_000_000)));
    }

    #[test]
    fn without_a_rate_everything_is_due_now() {
        let mut pace = Pace::new(Arc::new(SystemClock::new()), MonoTime(7), None);
        assert_eq!(pace.take(MonoTime(9)), Some(MonoTime(9)));
        assert_eq!(pace.take(MonoTime(9)), Some(MonoTime(9)));
    }
}
