//! Searches and orders: whatever is typed is bound.

use search_language::{
    Access, Columns, Dialect, Error, Expr, Kind, Predicate, hyperfleet, maestro, order, render,
};

/// Words that our own SQL is made of; a word that isn't here came from the text.
const SQL: &[&str] = &[
    "abs",
    "and",
    "as",
    "between",
    "bigint",
    "case",
    "cast",
    "coalesce",
    "created_at",
    "data",
    "distinct",
    "double",
    "Infinity",
    "e",
    "else",
    "end",
    "escape",
    "exists",
    "false",
    "from",
    "glob",
    "id",
    "ilike",
    "in",
    "integer",
    "is",
    "json_each",
    "json_type",
    "jsonb",
    "jsonb_typeof",
    "like",
    "mod",
    "name",
    "not",
    "null",
    "nullif",
    "number",
    "numeric",
    "object",
    "array",
    "or",
    "payload",
    "precision",
    "real",
    "select",
    "text",
    "then",
    "timestamptz",
    "true",
    "type",
    "value",
    "version",
    "when",
    "where",
    "x",
];

/// Both grammars of Maestro, and the one of the HyperFleet API.
pub fn search(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match maestro::parse(&text) {
        Ok(expr) => bound(&expr),
        Err(error) => assert!(maestro::refusal(&text, &error).len() <= text.len() + 1024),
    }
    match hyperfleet::parse(&text) {
        Ok(expr) => bound(&expr),
        Err(error) => assert!(hyperfleet::refusal(&error).len() <= 1024 + text.len()),
    }
}

/// Orders of both.
pub fn order(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for keys in [order::maestro(&text), order::hyperfleet(&text)] {
        let Ok(keys) = keys else { continue };
        assert!(!keys.is_empty() && keys.len() <= order::MAX_KEYS);
        for key in keys {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            assert!(!key.field.is_empty() && key.field.chars().all(plain));
        }
    }
}

/// A name for the elements of a list inside of lists: `e` and how deep it is.
fn is_alias(word: &str) -> bool {
    word.strip_prefix('e')
        .is_some_and(|depth| depth.len() <= 2 && depth.bytes().all(|byte| byte.is_ascii_digit()))
}

fn bound(expr: &Expr) {
    for dialect in [Dialect::Postgres, Dialect::Sqlite] {
        let Ok(fragment) = render(expr, dialect, &Bundles, 3) else {
            continue;
        };
        let mut rest = fragment.sql.as_str();
        let mut placeholders = 0;
        while let Some(first) = rest.chars().next() {
            let taken = match first {
                'a'..='z' | 'A'..='Z' | '_' => {
                    let word = run(rest, |c| c.is_ascii_alphanumeric() || c == '_');
                    let ours = SQL.contains(&word) || is_alias(word);
                    assert!(ours, "{word:?} came into {:?}", fragment.sql);
                    word.len()
                }
                '$' | '?' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    let number = run(&rest[1..], |c| c.is_ascii_digit());
                    let index: usize = number.parse().unwrap();
                    assert!((3..3 + fragment.params.len()).contains(&index));
                    placeholders += 1;
                    1 + number.len()
                }
                // Our own literals.
                '0'..='9' => run(rest, |c| c.is_ascii_alphanumeric() || "+-.".contains(c)).len(),
                '\'' | '(' | ')' | '{' | '}' | '[' | ']' | '|' | ':' | '-' | '>' | '<' | '='
                | '#' | '@' | ',' | ' ' | '$' | '\\' | '+' | '*' | '/' | '%' | '.' => 1,
                other => panic!("{other:?} came into {:?}", fragment.sql),
            };
            rest = &rest[taken..];
        }
        assert!(placeholders >= fragment.params.len());
        assert!(fragment.sql.len() < 1024 * 1024, "SQL of a megabyte");
    }
}

fn run(text: &str, fits: fn(char) -> bool) -> &str {
    let end = text.find(|c| !fits(c)).unwrap_or(text.len());
    &text[..end]
}

/// Columns like those of resource bundles.
struct Bundles;

impl Columns for Bundles {
    fn access(&self, predicate: &Predicate<'_>) -> Result<Access<'_>, Error> {
        let field = predicate.field;
        let (sql, kind) = match field.parts.last().map(String::as_str) {
            Some("payload" | "labels" | "spec" | "status") => {
                return Ok(Access::Json {
                    sql: "payload".into(),
                    path: field.path.clone(),
                });
            }
            Some("version" | "generation") => ("version", Kind::Integer),
            Some("created_at" | "created_time") => ("created_at", Kind::Time),
            Some("id" | "name" | "source" | "consumer_name") => ("name", Kind::Text),
            _ => return Err(predicate.refuse("no such field")),
        };
        Ok(Access::Column {
            sql: sql.into(),
            kind,
        })
    }
}
