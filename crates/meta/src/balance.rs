//! Which partitions other brokers should lead, so that each leads as many.

use crate::state::State;
use esker_types::{BrokerId, PartitionId};
use std::collections::BTreeMap;

/// A partition and who should lead it.
type Move = (PartitionId, BrokerId);

impl State {
    /// The fewest moves after which every broker that may lead leads as many partitions as any other, or one less. Moves that are
    /// under way count as done.
    #[must_use]
    pub fn plan_balance(&self) -> Vec<Move> {
        let mut led = self.led_by_placeable();
        let total: usize = led.values().map(Vec::len).sum();
        let Some(share) = total.checked_div(led.len()) else { return Vec::new() };
        // Who leads the most may keep one more.
        let mut extra = total % led.len();
        let mut order: Vec<_> = led.keys().copied().collect();
        order.sort_by_key(|id| (std::cmp::Reverse(led[id].len()), *id));
        let (mut given, mut lacking) = (Vec::new(), Vec::new());
        for id in order {
            let keeps = share + usize::from(extra > 0);
            extra = extra.saturating_sub(1);
            let mine = led.remove(&id).unwrap_or_default();
            if mine.len() > keeps {
                given.extend(spread(&mine, mine.len() - keeps));
            } else {
                lacking.extend(std::iter::repeat_n(id, keeps - mine.len()));
            }
        }
        given.into_iter().zip(lacking).collect()
    }

    /// How unequal leadership is: the most that a broker leads more than it would if all led alike, in percent of that.
    #[must_use]
    pub fn imbalance_percent(&self) -> usize {
        let led = self.led_by_placeable();
        let total: usize = led.values().map(Vec::len).sum();
        let most = led.values().map(Vec::len).max().unwrap_or_default();
        let share = total.div_ceil(led.len().max(1));
        (most.saturating_sub(share) * 100).checked_div(share).unwrap_or_default()
    }

    /// The partitions that each broker leads that may, or is about to.
    fn led_by_placeable(&self) -> BTreeMap<BrokerId, Vec<PartitionId>> {
        let mut led: BTreeMap<_, Vec<_>> = self.placeable().map(|(id, _)| (id, vec![])).collect();
        for (id, row) in &self.partitions {
            let leader = self.moves.get(id).filter(|to| led.contains_key(to));
            if let Some(led) = led.get_mut(leader.unwrap_or(&row.leader)) {
                led.push(*id);
            }
        }
        led
    }
}

/// `count` of these, as far apart as can be: the partitions of a topic lie side by side, and each topic gives some.
fn spread(partitions: &[PartitionId], count: usize) -> impl Iterator<Item = PartitionId> {
    (0..count).map(move |n| partitions[n * partitions.len() / count])
}
