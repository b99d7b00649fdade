//! What a search may speak of: columns, labels, members of the spec, conditions. The grammar is `search-language`'s; see
//! `docs/protocol/search.md`.

use hyperfleet_types::{Code, ConditionStatus};
use search_language::{
    Access, Columns, Comparison, Dialect, Error, Expr, Field, Fragment, Kind, Literal, Operand,
    Param, Predicate, Test, Writer, hyperfleet,
};

use crate::{error::Rejection, store::Column};

/// Said of every field that does not exist.
pub const UNKNOWN_FIELD: &str = "invalid field in search or order query";

/// Reads a search.
///
/// # Errors
/// A [`Rejection`] that says what is wrong and where.
pub fn parse(text: &str) -> Result<Expr, Rejection> {
    hyperfleet::parse(text).map_err(|error| refused(&error))
}

/// A search as SQL over the table `resources`; parameters are numbered from `first`.
///
/// # Errors
/// A [`Rejection`] for fields that don't exist or can't be used like this.
pub fn render(search: &Expr, dialect: Dialect, first: usize) -> Result<Fragment, Rejection> {
    let fragment = search_language::render(search, dialect, &Resources { dialect }, first)
        .map_err(|error| refused(&error))?;
    if fragment
        .params
        .iter()
        .any(|param| matches!(param, Param::Text(text) if text.contains('\0')))
    {
        return Err(Rejection::new(
            Code::BadRequest,
            "failed to parse search query: a text must not contain NUL characters",
        ));
    }
    Ok(fragment)
}

fn refused(error: &Error) -> Rejection {
    Rejection::new(Code::BadRequest, hyperfleet::refusal(error))
}

/// `field = 'text'`.
pub fn equals(field: &[&str], text: &str) -> Expr {
    test(
        field,
        Test::Compare(Comparison::Equal, Literal::Text(text.to_owned())),
    )
}

/// `field is null`.
pub fn is_null(field: &[&str]) -> Expr {
    test(field, Test::IsNull { negated: false })
}

fn test(field: &[&str], test: Test) -> Expr {
    let parts = field.iter().map(|part| (*part).to_owned()).collect();
    Expr::Test {
        operand: Operand::Field(Field {
            parts,
            path: Vec::new(),
            column: 1,
        }),
        test,
    }
}

struct Resources {
    dialect: Dialect,
}

impl Columns for Resources {
    fn access(&self, predicate: &Predicate<'_>) -> Result<Access<'_>, Error> {
        let parts: Vec<&str> = predicate.field.parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [name] => {
                let column =
                    Column::from_name(name).ok_or_else(|| predicate.refuse(UNKNOWN_FIELD))?;
                Ok(Access::Column {
                    sql: column.name().to_owned(),
                    kind: kind(column),
                })
            }
            // A key may have dots.
            ["labels", key @ ..] => {
                if predicate.inside_not || is_negated(predicate.test) {
                    return Err(
                        predicate.refuse("NOT operator is not supported with label queries")
                    );
                }
                Ok(Access::Json {
                    sql: "labels".to_owned(),
                    path: vec![key.join(".")],
                })
            }
            ["spec", path @ ..] => {
                let word = |step: &&str| {
                    !step.is_empty()
                        && step
                            .bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                };
                if !path.iter().all(word) {
                    return Err(predicate.refuse(UNKNOWN_FIELD));
                }
                Ok(Access::Json {
                    sql: "spec".to_owned(),
                    path: path.iter().map(|step| (*step).to_owned()).collect(),
                })
            }
            ["status", "conditions", type_] => self.condition(predicate, type_, None),
            ["status", "conditions", type_, member] => {
                self.condition(predicate, type_, Some(member))
            }
            _ => Err(predicate.refuse(UNKNOWN_FIELD)),
        }
    }
}

impl Resources {
    fn condition(
        &self,
        predicate: &Predicate<'_>,
        type_: &str,
        member: Option<&str>,
    ) -> Result<Access<'_>, Error> {
        let pascal = type_.starts_with(|first: char| first.is_ascii_uppercase())
            && type_.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !pascal {
            return Err(predicate.refuse(format!(
                "condition type '{type_}' is invalid: must be PascalCase"
            )));
        }
        if predicate.inside_not || is_negated(predicate.test) {
            return Err(predicate.refuse("NOT operator is not supported with condition queries"));
        }
        let (member, kind) = match member {
            None => ("status", Kind::Text),
            Some("last_updated_time") => ("last_updated_time", Kind::Time),
            Some("last_transition_time") => ("last_transition_time", Kind::Time),
            Some("observed_generation") => ("observed_generation", Kind::Integer),
            Some(other) => {
                return Err(predicate.refuse(format!(
                    "condition subfield '{other}' is not supported; use last_updated_time, last_transition_time, or observed_generation"
                )));
            }
        };
        match (predicate.test, member) {
            (Test::IsNull { .. }, _) => {}
            (Test::Compare(Comparison::Equal, literal), "status") => {
                let word = literal.as_text();
                if word.parse::<ConditionStatus>().is_err() {
                    return Err(predicate.refuse(format!(
                        "condition status '{word}' is invalid: must be True, False, or Unknown"
                    )));
                }
            }
            (_, "status") => {
                return Err(
                    predicate.refuse("only the = operator is supported with condition queries")
                );
            }
            (Test::Compare(_, literal), "observed_generation") => {
                if literal.as_text().trim().parse::<i32>().is_err() {
                    return Err(predicate.refuse(
                        "condition subfield 'observed_generation' expects a 32-bit integer",
                    ));
                }
            }
            (Test::Compare(..), _) => {}
            _ => {
                return Err(
                    predicate.refuse("only comparisons are supported with condition queries")
                );
            }
        }
        let (dialect, type_, field) = (self.dialect, type_.to_owned(), predicate.field.clone());
        Ok(Access::Custom(Box::new(
            move |test, writer: &mut Writer| {
                let type_ = writer.bound(Param::Text(type_.clone()));
                let left = match dialect {
                    Dialect::Postgres => {
                        let cast = match kind {
                            Kind::Text => "",
                            Kind::Integer => "::bigint",
                            Kind::Time => "::timestamptz",
                        };
                        format!(
                            "(select (c ->> '{member}'){cast} from jsonb_array_elements(conditions) c where c ->> 'type' = {type_})"
                        )
                    }
                    Dialect::Sqlite => {
                        let value = format!("(c.value ->> '{member}')");
                        let value = if kind == Kind::Time {
                            padded(&value)
                        } else {
                            value
                        };
                        format!(
                            "(select {value} from json_each(conditions) c where c.value ->> 'type' = {type_})"
                        )
                    }
                };
                writer.test(&left, kind, test, &field)
            },
        )))
    }
}

/// A time as it stands in JSON, with as many digits as the columns have, so that it sorts like them.
fn padded(time: &str) -> String {
    format!(
        "(substr(replace({time}, 'Z', '') || iif(instr({time}, '.'), '', '.') || '000000', 1, 26) || 'Z')"
    )
}

fn kind(column: Column) -> Kind {
    match column {
        Column::Generation => Kind::Integer,
        Column::CreatedTime | Column::UpdatedTime | Column::DeletedTime => Kind::Time,
        _ => Kind::Text,
    }
}

fn is_negated(test: &Test) -> bool {
    match test {
        Test::Like { negated, .. }
        | Test::In { negated, .. }
        | Test::Between { negated, .. }
        | Test::IsNull { negated } => *negated,
        Test::Compare(..) | Test::Contains(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(search: &str) -> String {
        let rendered = parse(search).and_then(|expr| render(&expr, Dialect::Sqlite, 1));
        let rejection = rendered
            .map_err(|rejection| (rejection.code, rejection.detail))
            .unwrap_err();
        assert_eq!(rejection.0, Code::BadRequest);
        rejection.1
    }

    #[test]
    fn what_is_refused_and_how() {
        for (search, text) in [
            ("properties.x = 'a'", UNKNOWN_FIELD),
            ("nope = 'a'", UNKNOWN_FIELD),
            ("spec.a-b = 'a'", UNKNOWN_FIELD),
            (
                "generation = 'abc'",
                "field 'generation' expects an integer",
            ),
            (
                "created_time > 'soon'",
                "field 'created_time' expects an RFC3339 timestamp (e.g. 2026-01-01T00:00:00Z)",
            ),
            (
                "not labels.a = 'b'",
                "NOT operator is not supported with label queries",
            ),
            (
                "labels.a is not null",
                "NOT operator is not supported with label queries",
            ),
            (
                "labels.a not in ['b']",
                "NOT operator is not supported with label queries",
            ),
            (
                "status.conditions.Reconciled = 'Bad'",
                "condition status 'Bad' is invalid: must be True, False, or Unknown",
            ),
            (
                "status.conditions.Reconciled.created_time > '2026-01-01T00:00:00Z'",
                "condition subfield 'created_time' is not supported; use last_updated_time, last_transition_time, or observed_generation",
            ),
        ] {
            assert_eq!(refusal(search), text, "{search}");
        }
        for search in [
            "status.conditions.reconciled = 'True'",
            "not status.conditions.Reconciled = 'True'",
            "status.conditions.Reconciled in ['True']",
            "status.conditions.Reconciled like 'T%'",
            "status.conditions.Reconciled.observed_generation > 1.5",
            "status.conditions.Reconciled.last_updated_time < 'x'",
            "status.phase = 'Ready'",
            "labels.a = 'b' and",
            "name = 'a\0'",
            "len(name) > 1",
        ] {
            refusal(search);
        }
        assert!(
            refusal(&"a".repeat(5000))
                .starts_with("search query exceeds maximum length of 4096 characters")
        );
    }
}
