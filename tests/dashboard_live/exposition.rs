//! Reads Prometheus' text format, version 0.0.4, as strictly as its description has it.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Labels = BTreeMap<String, String>;

/// Metrics by name, and each series by its labels. Values are kept as they are written.
pub(crate) type Metrics = BTreeMap<String, BTreeMap<Labels, String>>;

pub(crate) fn read(text: &str) -> Metrics {
    assert!(text.ends_with('\n'), "the last line has an end");
    let (mut metrics, mut helped, mut current) = (Metrics::new(), BTreeSet::new(), String::new());
    for line in text.split_terminator('\n') {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(!text.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(kind, "gauge");
            assert!(helped.contains(name), "{line}");
            assert!(
                metrics.insert(name.to_owned(), BTreeMap::new()).is_none(),
                "{line}"
            );
            name.clone_into(&mut current);
        } else {
            let (name, labels, value) = sample(line);
            // Lines of one metric are one group, after its type.
            assert_eq!(name, current, "{line}");
            assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
            let series = metrics.get_mut(&name).unwrap();
            assert!(
                series.insert(labels, value).is_none(),
                "a series is there once: {line}"
            );
        }
    }
    metrics
}

fn sample(line: &str) -> (String, Labels, String) {
    let end = line.find(['{', ' ']).unwrap();
    let name = &line[..end];
    assert!(
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
        "{line}"
    );
    let (mut rest, mut labels) = (&line[end..], Labels::new());
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, quoted) = rest.split_once("=\"").unwrap();
            assert!(key.chars().all(|c| c.is_ascii_lowercase()), "{line}");
            let (mut value, mut chars) = (String::new(), quoted.char_indices());
            let closed = loop {
                match chars.next().unwrap() {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        escaped @ ('\\' | '"') => escaped,
                        other => panic!("\\{other} in {line}"),
                    }),
                    (_, other) => value.push(other),
                }
            };
            assert!(labels.insert(key.to_owned(), value).is_none(), "{line}");
            rest = &quoted[closed + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    (
        name.to_owned(),
        labels,
        rest.strip_prefix(' ').unwrap().to_owned(),
    )
}

#[test]
fn escapes_are_read_back() {
    let text = "# HELP a_b What.\n# TYPE a_b gauge\na_b{x=\"q\\\"\\\\\\nz\",y=\"\"} -1.5\n";
    let metrics = read(text);
    let (labels, value) = metrics["a_b"].first_key_value().unwrap();
    assert_eq!((labels["x"].as_str(), labels["y"].as_str()), ("q\"\\\nz", ""));
    assert_eq!(value, "-1.5");
}
