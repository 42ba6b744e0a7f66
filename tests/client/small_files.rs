//! A test that runs again in a process whose files may not grow, which is what a full disk looks like to it.

use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Runs the test of this name in a child whose files may not grow beyond 16 kB, and tells it of the directory by this
/// variable.
pub(crate) fn run_again(test: &str, variable: &str, dir: &Path) {
    let limited = "trap '' XFSZ; ulimit -S -f 32; exec \"$0\" \"$@\"";
    let child = Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(variable, dir)
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
}

/// Lifts the limit, from within the child.
pub(crate) fn lift() {
    let limit = getrlimit(Resource::Fsize);
    let lifted = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Fsize, lifted).unwrap();
}
