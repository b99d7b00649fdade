//! Tree and value to results. Results borrow from the value; only literals are owned.
#![allow(
    clippy::ptr_arg,
    reason = "a borrowed Cow carries the lifetime of the document, an owned one is a literal"
)]

use std::borrow::Cow;
use std::cmp::Ordering;

use go_compat::{json, print};
use serde_json::Value;

use crate::error::Error;
use crate::tree::{Filter, Operator, Part, Selector, Slice};
use crate::{MAX_OUTPUT_BYTES, MAX_VISITS, Missing};

type Results<'v> = Vec<Cow<'v, Value>>;

pub(crate) fn groups<'v>(
    parts: &[Part],
    value: &'v Value,
    missing: Missing,
) -> Result<Vec<Results<'v>>, Error> {
    let mut evaluation = Evaluation { missing, visits: 0 };
    let mut groups = Vec::new();
    evaluation.parts(parts, &Cow::Borrowed(value), &mut groups)?;
    Ok(groups)
}

pub(crate) fn render(groups: &[Results<'_>]) -> Result<String, Error> {
    let mut out = String::new();
    for group in groups {
        for (at, value) in group.iter().enumerate() {
            if at > 0 {
                out.push(' ');
            }
            match value.as_ref() {
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    out.push_str(&json::to_string_sorted(value));
                }
                scalar => print::write_value(&mut out, scalar),
            }
            if out.len() > MAX_OUTPUT_BYTES {
                return Err(Error::limit(format!(
                    "output is longer than {MAX_OUTPUT_BYTES} bytes"
                )));
            }
        }
    }
    Ok(out)
}

struct Evaluation {
    missing: Missing,
    visits: usize,
}

// === impl Evaluation ===

impl Evaluation {
    fn visit(&mut self, count: usize) -> Result<(), Error> {
        self.visits = self.visits.saturating_add(count);
        if self.visits > MAX_VISITS {
            return Err(Error::limit(format!(
                "evaluation visits more than {MAX_VISITS} values"
            )));
        }
        Ok(())
    }

    fn parts<'v>(
        &mut self,
        parts: &[Part],
        value: &Cow<'v, Value>,
        groups: &mut Vec<Results<'v>>,
    ) -> Result<(), Error> {
        for part in parts {
            self.visit(1)?;
            match part {
                Part::Text(text) => groups.push(vec![Cow::Owned(text.clone())]),
                Part::Path(path) => groups.push(self.path(path, vec![value.clone()])?),
                Part::Range { over, body } => {
                    for value in self.path(over, vec![value.clone()])? {
                        self.parts(body, &value, groups)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn path<'v>(&mut self, path: &[Selector], input: Results<'v>) -> Result<Results<'v>, Error> {
        path.iter()
            .try_fold(input, |input, selector| self.select(selector, input))
    }

    fn select<'v>(
        &mut self,
        selector: &Selector,
        input: Results<'v>,
    ) -> Result<Results<'v>, Error> {
        self.visit(input.len())?;
        match selector {
            Selector::Field(name) => self.field(name, &[], &input),
            Selector::Key { name, path } => self.field(name, path, &input),
            Selector::Wildcard => {
                let results: Results<'v> = input.iter().flat_map(children).collect();
                self.visit(results.len())?;
                Ok(results)
            }
            Selector::Slice(slice) => {
                let mut results = Vec::new();
                for value in &input {
                    elements(*slice, value, &mut results)?;
                }
                self.visit(results.len())?;
                Ok(results)
            }
            Selector::Union(selectors) => {
                let mut results = Vec::new();
                for selector in selectors {
                    results.extend(self.select(selector, input.clone())?);
                }
                Ok(results)
            }
            Selector::Filter(filter) => self.filter(filter, &input),
            Selector::Recursive => {
                let mut results = Vec::new();
                for value in &input {
                    self.descend(value, &mut results)?;
                }
                Ok(results)
            }
            Selector::Literal(Value::String(text)) => {
                Ok(vec![Cow::Owned(Value::String(text.clone()))])
            }
            Selector::Literal(literal) => Ok(vec![Cow::Owned(literal.clone()); input.len()]),
        }
    }

    fn field<'v>(
        &mut self,
        name: &str,
        path: &[String],
        input: &[Cow<'v, Value>],
    ) -> Result<Results<'v>, Error> {
        let results: Results<'v> = input
            .iter()
            .filter_map(|value| {
                let nested = || {
                    path.iter()
                        .try_fold(value.clone(), |value, name| member(&value, name))
                };
                member(value, name).or_else(|| if path.is_empty() { None } else { nested() })
            })
            .collect();
        if results.is_empty() && !input.is_empty() && self.missing == Missing::Error {
            return Err(Error::evaluation(format!("{name} is not found")));
        }
        Ok(results)
    }

    fn filter<'v>(
        &mut self,
        filter: &Filter,
        input: &[Cow<'v, Value>],
    ) -> Result<Results<'v>, Error> {
        let mut results = Vec::new();
        for value in input {
            if !value.is_array() {
                let message = format!(
                    "{} is not array or slice and cannot be filtered",
                    print::type_name(value)
                );
                return Err(Error::evaluation(message));
            }
            for item in children(value) {
                self.visit(1)?;
                if self.keeps(filter, &item)? {
                    results.push(item);
                }
            }
        }
        Ok(results)
    }

    fn keeps(&mut self, filter: &Filter, item: &Cow<'_, Value>) -> Result<bool, Error> {
        let input = || vec![Cow::Borrowed(item.as_ref())];
        let left = self.path(&filter.left, input());
        let Some((operator, right)) = &filter.comparison else {
            // A filter for existence takes any failure to find as "not there".
            return match left {
                Ok(left) => Ok(!left.is_empty()),
                Err(error) if error.kind == crate::Kind::Limit => Err(error),
                Err(_) => Ok(false),
            };
        };
        let (Some(left), Some(right)) = (single(&left?)?, single(&self.path(right, input())?)?)
        else {
            return Ok(false);
        };
        compare(*operator, &left, &right)
    }

    /// The value and everything below it that has content (text included), depth first.
    fn descend<'v>(
        &mut self,
        value: &Cow<'v, Value>,
        results: &mut Results<'v>,
    ) -> Result<(), Error> {
        self.visit(1)?;
        let below: Vec<_> = children(value).collect();
        let is_text = value.as_str().is_some_and(|text| !text.is_empty());
        if is_text || !below.is_empty() {
            results.push(value.clone());
            for child in below {
                self.descend(&child, results)?;
            }
        }
        Ok(())
    }
}

/// Elements of a list, values of a map (sorted by key), nothing for the rest.
fn children<'v>(value: &Cow<'v, Value>) -> Box<dyn Iterator<Item = Cow<'v, Value>> + 'v> {
    match value {
        Cow::Borrowed(Value::Array(items)) => Box::new(items.iter().map(Cow::Borrowed)),
        Cow::Borrowed(Value::Object(map)) => Box::new(map.values().map(Cow::Borrowed)),
        // Owned values are literals: scalars, without children.
        _ => Box::new(std::iter::empty()),
    }
}

fn member<'v>(value: &Cow<'v, Value>, name: &str) -> Option<Cow<'v, Value>> {
    match value {
        Cow::Borrowed(Value::Object(map)) => map.get(name).map(Cow::Borrowed),
        _ => None,
    }
}

fn elements<'v>(
    slice: Slice,
    value: &Cow<'v, Value>,
    results: &mut Results<'v>,
) -> Result<(), Error> {
    let items = match value {
        Cow::Borrowed(Value::Array(items)) => items,
        other if other.is_null() => return Ok(()),
        other => {
            return Err(Error::evaluation(format!(
                "{} is not array or slice",
                print::type_name(other)
            )));
        }
    };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let from_end = |index: i64| {
        if index < 0 {
            index.saturating_add(length)
        } else {
            index
        }
    };
    let (start, end, step) = match slice {
        Slice::Index(index) => (from_end(index), from_end(index).saturating_add(1), 1),
        Slice::Range { start, end, step } => (
            from_end(start.unwrap_or(0)),
            end.map_or(length, from_end),
            step.unwrap_or(1),
        ),
    };
    if start == end {
        return Ok(());
    }
    let bounds = |index: i64| {
        Error::evaluation(format!(
            "array index out of bounds: index {index}, length {length}"
        ))
    };
    if start >= length || start < 0 {
        return Err(bounds(start));
    }
    if end > length || end < 0 {
        return Err(bounds(end - 1));
    }
    if start > end {
        return Err(Error::evaluation(format!(
            "starting index {start} is greater than ending index {end}"
        )));
    }
    let step = usize::try_from(step)
        .ok()
        .filter(|step| *step > 0)
        .ok_or_else(|| Error::evaluation("step must be > 0"))?;
    let (start, end) = (
        usize::try_from(start).unwrap_or(0),
        usize::try_from(end).unwrap_or(0),
    );
    results.extend(
        items
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .step_by(step)
            .map(Cow::Borrowed),
    );
    Ok(())
}

fn single<'v>(results: &[Cow<'v, Value>]) -> Result<Option<Cow<'v, Value>>, Error> {
    match results {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        _ => Err(Error::evaluation("can only compare one element at a time")),
    }
}

fn compare(operator: Operator, left: &Value, right: &Value) -> Result<bool, Error> {
    let invalid = || Error::evaluation("invalid type for comparison");
    let ordering = match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64().partial_cmp(&right.as_f64()),
        },
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => match operator {
            Operator::Equal | Operator::NotEqual => Some(left.cmp(right)),
            _ => return Err(invalid()),
        },
        (Value::Null | Value::Array(_) | Value::Object(_), _)
        | (_, Value::Null | Value::Array(_) | Value::Object(_)) => {
            return Err(invalid());
        }
        _ => return Err(Error::evaluation("incompatible types for comparison")),
    };
    Ok(ordering.is_some_and(|ordering| match operator {
        Operator::Equal => ordering == Ordering::Equal,
        Operator::NotEqual => ordering != Ordering::Equal,
        Operator::Less => ordering == Ordering::Less,
        Operator::LessOrEqual => ordering != Ordering::Greater,
        Operator::Greater => ordering == Ordering::Greater,
        Operator::GreaterOrEqual => ordering != Ordering::Less,
    }))
}
