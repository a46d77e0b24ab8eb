//! The dashboard in the documentation.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;
use wal::{MetricKind, Wal, storage::MemoryStorage};

/// Every string under a key of this name, at any depth.
fn strings<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| match value {
            Value::String(text) if name == key => found.push(text),
            value => strings(value, key, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| strings(item, key, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_only_for_series_that_exist() {
    let dashboard: Value = serde_json::from_str(include_str!("../../../../docs/grafana.json")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::builder(dir.path()).tier(Arc::new(MemoryStorage::new())).open().unwrap();
    let mut exist = BTreeSet::new();
    let mut stats = wal.stats();
    stats.requests = Some(wal::RequestStats::default());
    for family in stats.families() {
        match family.kind {
            MetricKind::Histogram => {
                exist.extend(["bucket", "count", "sum"].map(|part| format!("{}_{part}", family.name)));
            }
            _ => drop(exist.insert(family.sample_name())),
        }
    }
    let (mut expressions, mut queries) = (Vec::new(), Vec::new());
    strings(&dashboard, "expr", &mut expressions);
    strings(&dashboard, "query", &mut queries);
    assert!(expressions.len() > 30, "{expressions:?}");
    let is_name = |each: char| each.is_ascii_alphanumeric() || each == '_';
    let words = expressions.iter().chain(&queries).flat_map(|text| text.split(move |each| !is_name(each)));
    let asked: BTreeSet<String> = words.filter(|word| word.starts_with("wal_")).map(str::to_owned).collect();
    let unknown: Vec<_> = asked.difference(&exist).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    for text in expressions {
        let balanced = |open, close| text.matches(open).count() == text.matches(close).count();
        assert!(balanced('(', ')') && balanced('{', '}') && balanced('[', ']'), "{text}");
    }
}
