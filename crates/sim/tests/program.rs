//! The program that runs seeds, as whoever starts it sees it.

use std::process::Command;

#[test]
fn a_seed_that_exceeds_its_limit_is_a_failure_that_is_told_with_its_number() {
    let program = Command::new(env!("CARGO_BIN_EXE_esker-sim"))
        .args(["--seeds", "4711..4713", "--seed-seconds", "0"])
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&program.stdout);
    assert_eq!(program.status.code(), Some(1), "{told}");
    assert!(told.contains("seed 4711: Endless: it does not end within 0 s"), "{told}");
    assert!(told.contains("--seeds 4711 "), "{told}");
    assert!(told.contains("1 seeds, 1 failed"), "no other seed beside one that goes on: {told}");
}
