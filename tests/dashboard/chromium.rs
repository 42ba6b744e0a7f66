//! The browser that pages are looked at with.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns how to run a script of this folder's neighbours that drives Chromium; `None`, with a word of why, if there is
/// nothing to drive. `THRIFTY_BROWSER` says where the packages are, `CHROMIUM` where the browser is.
pub(crate) fn node(script: &str) -> Option<Command> {
    let set = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.into());
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = project.join("target/browser");
    let packages = PathBuf::from(set("THRIFTY_BROWSER", packages.to_str()?));
    let chromium = set("CHROMIUM", "/usr/bin/chromium");
    for (what, path) in [
        ("playwright-core", packages.join("node_modules/playwright-core")),
        ("axe-core", packages.join("node_modules/axe-core")),
        ("chromium", chromium.clone().into()),
    ] {
        if !path.exists() {
            println!("skipped: {what} not found");
            return None;
        }
    }
    let mut node = Command::new("node");
    node.arg(project.join("tests").join(script))
        .env("THRIFTY_BROWSER", packages)
        .env("CHROMIUM", chromium);
    Some(node)
}
