//! Tests that end their process, or spoil it, run in a child: the same test binary, asked for one test.

use std::process::{Command, Output};

const MARK: &str = "SEQFAULT_TEST_CHILD";

/// In the child, runs `body` and exits with what it returns. In the parent, starts the child (the test of this name)
/// and returns how it went.
pub(crate) fn in_child(test: &str, body: impl FnOnce() -> i32) -> Output {
    if std::env::var_os(MARK).is_some() {
        std::process::exit(body());
    }
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .unwrap()
}

/// Fails unless the child exited with 0.
pub(crate) fn passed(output: &Output) {
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
