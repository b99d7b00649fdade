//! Tests of values inside JSON documents.
//!
//! PostgreSQL has `jsonb`, SQLite has JSON text; both take the steps of the path as bound parameters. A value compares as the text that
//! PostgreSQL's `->>` gives: strings without quotes, everything else as JSON, and JSON null as no value.

use serde_json::Value;

use super::{Dialect, Kind, Param, Writer};
use crate::Error;
use crate::tree::{Field, Literal, Test};

pub(super) fn test(
    document: &str,
    path: &[String],
    test: &Test,
    field: &Field,
    writer: &mut Writer,
) -> Result<(), Error> {
    // PostgreSQL refuses parameters that stand nowhere, so nothing is bound for a test that reads no value.
    if let Test::In { values, negated } = test
        && values.is_empty()
    {
        writer.constant(*negated);
        return Ok(());
    }
    let steps: Vec<String> = path
        .iter()
        .map(|step| writer.bound(Param::Text(step.clone())))
        .collect();
    let value = steps.iter().fold(document.to_owned(), |sql, step| {
        format!("({sql} -> {step})")
    });
    if let Test::Contains(expected) = test {
        return contains(&value, expected, field, writer);
    }
    if let Some(literals) = numbers(test) {
        return number(&value, test, &literals, writer);
    }
    let text = match writer.dialect() {
        Dialect::Postgres => format!("({value} #>> '{{}}')"),
        Dialect::Sqlite => format!(
            "(case json_type({value}) when 'text' then {value} ->> '$' when 'null' then null else {value} end)"
        ),
    };
    writer.test(&text, Kind::Text, test, field)
}

/// The numbers of a test, when it has nothing but numbers.
fn numbers(test: &Test) -> Option<Vec<f64>> {
    let number = |literal: &Literal| match literal {
        Literal::Number(number, _) => Some(*number),
        Literal::Text(_) => None,
    };
    match test {
        Test::Compare(_, literal) => Some(vec![number(literal)?]),
        Test::Between { low, high, .. } => Some(vec![number(low)?, number(high)?]),
        Test::In { values, .. } if !values.is_empty() => values.iter().map(number).collect(),
        _ => None,
    }
}

fn number(value: &str, test: &Test, numbers: &[f64], writer: &mut Writer) -> Result<(), Error> {
    let left = match writer.dialect() {
        // JSON numbers may be beyond a double's range, where a cast is an error and not a large number.
        Dialect::Postgres => {
            format!(
                "(case when jsonb_typeof({value}) is distinct from 'number' then null \
                 when abs(({value})::numeric) between 1e-300 and 1e308 then ({value})::double precision \
                 when abs(({value})::numeric) < 1 then 0 \
                 when ({value})::numeric > 0 then 'Infinity' else '-Infinity' end)"
            )
        }
        Dialect::Sqlite => {
            format!(
                "(case when json_type({value}) in ('integer', 'real') then cast({value} ->> '$' as real) end)"
            )
        }
    };
    let bound: Vec<String> = numbers
        .iter()
        .map(|&n| writer.bound(Param::Number(n)))
        .collect();
    let sql = match (test, bound.as_slice()) {
        (Test::Compare(comparison, _), [right]) => format!("{left} {} {right}", comparison.sql()),
        (Test::Between { negated, .. }, [low, high]) => {
            format!(
                "{left} {}between {low} and {high}",
                if *negated { "not " } else { "" }
            )
        }
        (Test::In { negated, .. }, list) => {
            format!(
                "{left} {}in ({})",
                if *negated { "not " } else { "" },
                list.join(", ")
            )
        }
        // `numbers` answers for these three only.
        _ => "null".to_owned(),
    };
    writer.push(&sql);
    Ok(())
}

fn contains(
    value: &str,
    expected: &Value,
    field: &Field,
    writer: &mut Writer,
) -> Result<(), Error> {
    if writer.dialect() == Dialect::Postgres {
        let right = writer.bound(Param::Text(expected.to_string()));
        writer.push(&format!("{value} @> ({right})::jsonb"));
        return Ok(());
    }
    // Where there is nothing, neither the test nor its opposite holds.
    writer.push(&format!("case when {value} is not null then "));
    contained(value, expected, 0, field, writer)?;
    writer.push(" end");
    Ok(())
}

/// Containment spelled out for SQLite: objects by key, lists by element, scalars by type and value. `depth` counts the lists around
/// it, so that each has a name of its own.
fn contained(
    value: &str,
    expected: &Value,
    depth: usize,
    field: &Field,
    writer: &mut Writer,
) -> Result<(), Error> {
    match expected {
        Value::Object(members) => {
            writer.push(&format!("(json_type({value}) is 'object'"));
            for (key, member) in members {
                if key.is_empty() || key.starts_with(['$', '[']) || key.contains(['"', '\0', '\\'])
                {
                    return Err(refuse(field, format!("a key can't be {key:?}")));
                }
                let step = writer.bound(Param::Text(key.clone()));
                writer.push(" and ");
                let value = format!("({value} -> {step})");
                contained(&value, member, depth, field, writer)?;
            }
            writer.push(")");
        }
        Value::Array(elements) => {
            writer.push(&format!("(json_type({value}) is 'array'"));
            for element in elements {
                writer.push(" and ");
                has_element(value, element, depth, field, writer)?;
            }
            writer.push(")");
        }
        scalar => {
            let right = writer.bound(Param::Text(scalar.to_string()));
            writer.push(&format!(
                "(coalesce(json_type({value}), '') = json_type({right}) and ({value} ->> '$') is ({right} ->> '$'))"
            ));
        }
    }
    Ok(())
}

/// Whether a list has an element that contains this one.
fn has_element(
    list: &str,
    element: &Value,
    depth: usize,
    field: &Field,
    writer: &mut Writer,
) -> Result<(), Error> {
    let kind = match element {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        _ => {
            let right = writer.bound(Param::Text(element.to_string()));
            writer.push(&format!(
                "exists (select 1 from json_each({list}) e, json_each('[' || {right} || ']') x \
                 where e.type = x.type and e.value is x.value)"
            ));
            return Ok(());
        }
    };
    let name = format!("e{depth}");
    // The value of any other element may be text that is no JSON: `case` doesn't look at it.
    writer.push(&format!(
        "exists (select 1 from json_each({list}) {name} where case {name}.type when '{kind}' then "
    ));
    contained(&format!("{name}.value"), element, depth + 1, field, writer)?;
    writer.push(" end)");
    Ok(())
}

fn refuse(field: &Field, message: String) -> Error {
    Error::Field {
        column: field.column,
        message,
    }
}
