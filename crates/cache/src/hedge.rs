//! When a request takes so much longer than its like that asking again is the better bet.

use parking_lot::Mutex;
use std::time::Duration;

/// Durations kept for each class of length.
const SAMPLES: usize = 256;
/// Fewer say nothing about a 99th percentile.
const SAMPLES_MIN: usize = 64;
/// Asking again earlier than this is never worth a request.
const WAIT_MIN: Duration = Duration::from_millis(5);
/// One request in so many may be asked twice.
const SHARE: u64 = 20;

/// Learns how long requests take, by length.
#[derive(Debug, Default)]
pub(crate) struct Hedge(Mutex<RequestTimes>);

#[derive(Debug, Default)]
struct RequestTimes {
    /// Up to 1, 2, 4, 8 MiB and longer.
    classes: [Class; 5],
    requests: u64,
    hedges: u64,
}

#[derive(Debug, Default)]
struct Class {
    samples: Vec<Duration>,
    next: usize,
}

impl Hedge {
    /// Counts a request and says after which wait it may be asked again.
    pub(crate) fn on_request(&self, bytes: u64) -> Option<Duration> {
        let mut state = self.0.lock();
        state.requests += 1;
        if (state.hedges + 1) * SHARE > state.requests {
            return None;
        }
        let samples = &state.classes[class(bytes)].samples;
        if samples.len() < SAMPLES_MIN {
            return None;
        }
        let mut sorted = samples.clone();
        sorted.sort_unstable();
        let p99 = sorted[(sorted.len() * 99).div_ceil(100) - 1];
        Some((p99 * 3 / 2).max(WAIT_MIN))
    }

    /// Asks for leave to ask again: the share may have been used up meanwhile.
    pub(crate) fn take(&self) -> bool {
        let mut state = self.0.lock();
        let granted = (state.hedges + 1) * SHARE <= state.requests;
        state.hedges += u64::from(granted);
        granted
    }

    /// Learns from an answer.
    pub(crate) fn on_answer(&self, bytes: u64, took: Duration) {
        let class = &mut self.0.lock().classes[class(bytes)];
        if class.samples.len() < SAMPLES {
            class.samples.push(took);
        } else {
            class.samples[class.next] = took;
            class.next = (class.next + 1) % SAMPLES;
        }
    }
}

fn class(bytes: u64) -> usize {
    let bounds = [1 << 20, 2 << 20, 4 << 20, 8 << 20];
    bounds.iter().take_while(|&&bound| bytes > bound).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_with_those_of_like_length() {
        let mib = 1 << 20;
        let lengths = [1, mib, mib + 1, 2 * mib, 2 * mib + 1, 8 * mib, 8 * mib + 1, u64::MAX];
        assert_eq!(lengths.map(class), [0, 0, 1, 1, 2, 3, 4, 4]);
    }

    #[test]
    fn the_wait_follows_the_slowest_of_its_like_and_the_share_is_kept() {
        let hedge = Hedge::default();
        for number in 0..1000 {
            assert_eq!(hedge.on_request(1 << 20), None);
            if number < SAMPLES_MIN - 1 {
                hedge.on_answer(1 << 20, Duration::from_millis(10));
            }
        }
        hedge.on_answer(1 << 20, Duration::from_millis(40));
        assert_eq!(hedge.on_request(1 << 20), Some(Duration::from_millis(60)));
        // Of another length nothing is known.
        assert_eq!(hedge.on_request(8 << 20), None);
        let granted = (0..1000).filter(|_| hedge.take()).count();
        assert_eq!(granted, 1002 / 20);
        assert_eq!(hedge.on_request(1 << 20), None);
    }
}
