//! Two servers side by side, as a Markdown table.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

use crate::args::Compare;

/// Prints what both have: medians over their runs, and how many times better the first is.
pub fn print(compare: &Compare) -> anyhow::Result<()> {
    let (ours, theirs) = (read(&compare.ours)?, read(&compare.theirs)?);
    let name = |index: usize| compare.names.get(index).map_or("", String::as_str);
    println!("| figure | {} | {} | better |", name(0), name(1));
    println!("|---|---:|---:|---:|");
    for (path, ours) in &ours {
        let Some(better) = direction(path) else {
            continue;
        };
        let one = median(ours);
        match theirs.get(path).map(|theirs| median(theirs)) {
            Some(other) => {
                let ratio = match better {
                    Better::Higher => one / other,
                    Better::Lower => other / one,
                };
                let ratio = if ratio.is_finite() && ratio > 0.0 {
                    format!("{ratio:.1}×")
                } else {
                    String::new()
                };
                println!("| {path} | {} | {} | {ratio} |", short(one), short(other));
            }
            None => println!("| {path} | {} | – | |", short(one)),
        }
    }
    Ok(())
}

enum Better {
    Higher,
    Lower,
}

/// Which way a figure is better; `None` for those that only describe the run.
fn direction(path: &str) -> Option<Better> {
    let last = path.rsplit(' ').next().unwrap_or(path);
    if last.ends_with("per_second") {
        return Some(Better::Higher);
    }
    let lower = [
        "ms",
        "p50",
        "p99",
        "_mb",
        "_kb",
        "_operation",
        "_in_seconds",
    ];
    lower
        .iter()
        .any(|end| last.ends_with(end))
        .then_some(Better::Lower)
}

/// All numbers of some files by their path.
fn read(files: &[PathBuf]) -> anyhow::Result<BTreeMap<String, Vec<f64>>> {
    let mut numbers = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let value: Value =
            serde_json::from_str(&text).with_context(|| file.display().to_string())?;
        collect(&value, "", &mut numbers);
    }
    Ok(numbers)
}

fn collect(value: &Value, path: &str, numbers: &mut BTreeMap<String, Vec<f64>>) {
    match value {
        Value::Number(number) => {
            if let Some(number) = number.as_f64() {
                numbers.entry(path.to_owned()).or_default().push(number);
            }
        }
        Value::Object(object) => {
            for (key, value) in object {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path} {key}")
                };
                collect(value, &path, numbers);
            }
        }
        _ => {}
    }
}

fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn short(number: f64) -> String {
    if number.abs() >= 100.0 {
        format!("{number:.0}")
    } else if number.abs() >= 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}
