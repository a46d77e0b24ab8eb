//! What `cargo metadata` says about a workspace.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process;

/// A workspace, without the packages it gets from elsewhere.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    /// Where cargo puts what it builds.
    pub(crate) target_dir: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Absolute, as cargo says it.
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: Vec<String>,
    /// The names of its binary targets.
    pub(crate) binaries: Vec<String>,
    /// Whether it has a library target.
    pub(crate) is_library: bool,
}

#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// For tests, examples and benches alone.
    pub(crate) is_dev: bool,
}

/// Asks cargo about the workspace of a manifest.
pub(crate) fn read(root: &Path, manifest: &str) -> Result<Workspace, String> {
    let args = ["metadata", "--no-deps", "--format-version", "1", "--manifest-path", manifest];
    let text = process::output(root, "cargo", &args)?;
    let json: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    parse(&json).ok_or_else(|| "cargo metadata: the format is another one than expected".to_owned())
}

fn parse(json: &Value) -> Option<Workspace> {
    let packages = json["packages"].as_array()?.iter().map(package).collect::<Option<_>>()?;
    Some(Workspace { packages, target_dir: PathBuf::from(json["target_directory"].as_str()?) })
}

fn package(json: &Value) -> Option<Package> {
    let targets = json["targets"].as_array()?;
    let binaries = targets.iter().filter(|target| has_kind(target, "bin"));
    Some(Package {
        name: json["name"].as_str()?.to_owned(),
        manifest_path: PathBuf::from(json["manifest_path"].as_str()?),
        dependencies: json["dependencies"].as_array()?.iter().map(dependency).collect::<Option<_>>()?,
        features: json["features"].as_object()?.keys().cloned().collect(),
        binaries: binaries.map(|target| target["name"].as_str().map(str::to_owned)).collect::<Option<_>>()?,
        is_library: targets.iter().any(|target| has_kind(target, "lib")),
    })
}

fn dependency(json: &Value) -> Option<Dependency> {
    Some(Dependency { name: json["name"].as_str()?.to_owned(), is_dev: json["kind"].as_str() == Some("dev") })
}

fn has_kind(target: &Value, kind: &str) -> bool {
    target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|it| it.as_str() == Some(kind)))
}
