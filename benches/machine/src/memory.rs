//! Copying memory.

use esker_env::Env;
use serde_json::{Value, json};

/// Copies what fits no cache, and what does.
pub(crate) fn copy(env: &Env) -> Value {
    let rate = |len: usize, rounds: usize| {
        let (from, mut to) = (vec![7_u8; len], vec![0_u8; len]);
        to.copy_from_slice(&from);
        let begin = env.clock.now();
        for _ in 0..rounds {
            std::hint::black_box(&mut to).copy_from_slice(std::hint::black_box(&from));
        }
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let bytes = (len * rounds) as f64;
        bytes / env.clock.now().since(begin).as_secs_f64() / 1e9
    };
    json!({ "gb_per_second_256_mib": rate(256 << 20, 4), "gb_per_second_1_mib": rate(1 << 20, 2000) })
}
