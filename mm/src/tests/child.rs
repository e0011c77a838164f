//! Tests that end or spoil their process run in a child: the same binary, asked for one test.

use std::process::{Command, Output};

const MARK: &str = "SEQFAULT_TEST_CHILD";

/// In the child, runs `body` and exits. In the parent, starts the child (which runs the tests whose names contain
/// `test`) and returns how it ended.
pub(crate) fn in_child(test: &str, body: impl FnOnce()) -> Output {
    if std::env::var_os(MARK).is_some() {
        body();
        std::process::exit(0);
    }
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .unwrap()
}
