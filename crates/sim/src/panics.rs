//! Panics inside the node: in production each ends the process; here each is a problem of the run.

use crate::power::Power;
use std::cell::RefCell;
use std::sync::{Arc, Once};

thread_local! {
    static WATCHED: RefCell<Option<Arc<Power>>> = const { RefCell::new(None) };
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

static HOOK: Once = Once::new();

/// Notes panics of this thread from now on, as long as `power` is on: what a process without power does is nobody's
/// concern.
pub(crate) fn watch(power: &Arc<Power>) {
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let watched = WATCHED.with_borrow(Clone::clone);
            match watched {
                None => usual(panic),
                Some(power) if power.is_on() => SEEN.with_borrow_mut(|seen| {
                    seen.push(format!("panic: {panic}").replace('\n', " "));
                    power.fail();
                }),
                Some(_) => {}
            }
        }));
    });
    WATCHED.with_borrow_mut(|watched| *watched = Some(Arc::clone(power)));
}

/// What was seen since the last call. Nothing is watched from here on.
pub(crate) fn seen() -> Vec<String> {
    WATCHED.with_borrow_mut(|watched| *watched = None);
    SEEN.with_borrow_mut(std::mem::take)
}
