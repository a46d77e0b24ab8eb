//! Feature combinations that must compile, and the one that must work besides all features at once.

use std::path::Path;

use crate::process::cargo;

/// A package, and sets of features that it is checked with, each without the default ones. Written by hand: the full
/// powerset takes long and finds little more.
const COMBINATIONS: &[(&str, &[&str])] = &[
    ("wal-format", &["", "crc32c", "std"]),
    ("wal-compress", &["", "zstd", "snappy"]),
    ("wal-core", &["serde", "tracing"]),
    (
        "wal",
        &[
            "",
            "zstd",
            "snappy",
            "crc32c",
            "serde",
            "toml",
            "yaml",
            "json",
            "postcard",
            "stream",
            "tracing",
            "object-store",
            "metrics",
            "opentelemetry",
            "prometheus",
        ],
    ),
];

/// What everybody has who asks for no feature: a log without extras, which no other build opens (`adr/0018`).
const DEFAULT_TEST: &[&str] = &["test", "--package", "wal", "--no-default-features", "--lib", "--test", "it"];

pub(super) fn check(root: &Path) -> Result<(), String> {
    for (package, sets) in COMBINATIONS {
        for features in *sets {
            let mut args = vec!["check", "--package", package, "--no-default-features"];
            if !features.is_empty() {
                args.extend(["--features", features]);
            }
            cargo(root, &args)?;
        }
    }
    cargo(root, DEFAULT_TEST)
}
