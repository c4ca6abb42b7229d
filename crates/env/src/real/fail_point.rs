//! Crash points of debug builds: the process aborts at a chosen durable step.
//!
//! `ESKER_FAIL_POINT="<step> <part of the path> <count>"` aborts at the `count`th time that the step is reached on a
//! path that contains the part (`*`: any path). Steps come before what they name: `create`, `write`, `sync`,
//! `rename`, `remove`, `sync-dir`, `set-len`; but `half` comes in the middle of a write, `synced` and `renamed`
//! after. `any` stands for all. What was reached is said on standard error.

use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const VARIABLE: &str = "ESKER_FAIL_POINT";

struct Plan {
    step: String,
    part: String,
    left: AtomicU64,
}

fn plan() -> Option<&'static Plan> {
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    let read = || {
        let text = std::env::var(VARIABLE).ok()?;
        let mut words = text.split_whitespace().map(str::to_owned);
        let (step, part, count) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
        Some(Plan { step, part, left: AtomicU64::new(count) })
    };
    PLAN.get_or_init(read).as_ref()
}

/// Whether the process has to abort here, at a step on `path`.
pub(super) fn is_due(step: &str, path: &Path) -> bool {
    let Some(plan) = plan() else { return false };
    let named = plan.part == "*" || path.to_string_lossy().contains(&plan.part);
    let matches = named && (plan.step == step || plan.step == "any");
    matches && plan.left.fetch_sub(1, Ordering::Relaxed) == 1
}

/// Aborts.
pub(super) fn abort(step: &str, path: &Path) -> ! {
    let _unheard = writeln!(std::io::stderr(), "aborted at {step} {}", path.display());
    std::process::abort()
}

/// Aborts if it is time.
pub(super) fn pass(step: &str, path: &Path) {
    if is_due(step, path) {
        abort(step, path);
    }
}
