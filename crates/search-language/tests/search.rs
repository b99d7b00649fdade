//! The grammars as clients use them, on real databases: every row of [`TABLE`] selects the same rows on SQLite and on PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect"
)]

use proptest::prelude::*;
use search_language::{
    Access, Columns, Dialect, Error, Expr, Fragment, Kind, Param, Predicate, hyperfleet, maestro,
    render,
};

struct Bundles;

impl Columns for Bundles {
    fn access(&self, predicate: &Predicate<'_>) -> Result<Access<'_>, Error> {
        let field = predicate.field;
        let name = match field.parts.as_slice() {
            [name] => name.as_str(),
            [table, name] if table == "resources" => name.as_str(),
            [table, ..] => {
                return Err(
                    predicate.refuse(format!("{table} is not a related resource of Resource"))
                );
            }
            [] => "",
        };
        let column = |kind| {
            Ok(Access::Column {
                sql: name.to_owned(),
                kind,
            })
        };
        match name {
            "id" | "name" | "source" | "consumer_name" => column(Kind::Text),
            "version" => column(Kind::Integer),
            "created_at" => column(Kind::Time),
            "payload" => Ok(Access::Json {
                sql: "payload".to_owned(),
                path: field.path.clone(),
            }),
            "spec" => Ok(Access::Json {
                sql: "payload".to_owned(),
                path: vec!["spec".to_owned(), "n".to_owned()],
            }),
            other => Err(predicate.refuse(format!("no field {other}"))),
        }
    }
}

const ROWS: &[(&str, &str, i64, &str, &str)] = &[
    (
        "a",
        "s1",
        1,
        "2026-01-01T00:00:00Z",
        r#"{"metadata":{"labels":{"env":"prod","k":"v"}},"spec":{"n":5}}"#,
    ),
    (
        "b",
        "s1",
        2,
        "2026-01-02T00:00:00Z",
        r#"{"metadata":{"labels":{"env":"dev"}},"spec":{"n":"text"}}"#,
    ),
    (
        "c",
        "s2",
        3,
        "2026-01-03T00:00:00Z",
        r#"{"metadata":{"labels":{"env":"prod","n":5,"t":true,"z":null}},
            "items":[{"kind":"A","m":{"l":{"foo":"bar"}}},{"kind":"B","list":[[1,2],{"z":null}]},"text","{\"kind\":\"C\"}"]}"#,
    ),
    ("D'x", "s2", 4, "2026-01-04T00:00:00Z", r#"{"metadata":{}}"#),
    (
        "A%_*",
        "s3",
        10,
        "2026-01-05T00:00:00Z",
        r#"{"metadata":{"labels":{"env":"it's","list":["x","y"]}}}"#,
    ),
];

/// Maestro searches, and the names that they find.
const TABLE: &[(&str, &[&str])] = &[
    ("source='s1'", &["a", "b"]),
    ("source = 's1' and (name='a' or name='c')", &["a"]),
    ("resources.source='s1'", &["a", "b"]),
    ("name <> 'a' and name != 'b'", &["c", "D'x", "A%_*"]),
    ("version >= 3", &["c", "D'x", "A%_*"]),
    ("version = '3'", &["c"]),
    ("version*2 > 7 and version + 1 < 11", &["D'x"]),
    ("(version - 1) * 2 = 2", &["b"]),
    ("version / 0 = 1", &[]),
    ("version between 2 and 3", &["b", "c"]),
    ("version not between 2 and 10", &["a"]),
    ("name in ('a','c')", &["a", "c"]),
    ("name not in ('a','c')", &["b", "D'x", "A%_*"]),
    ("name in ()", &[]),
    ("name='D''x'", &["D'x"]),
    ("name like 'a%'", &["a"]),
    ("name ilike 'a%'", &["a", "A%_*"]),
    ("name like 'A\\%\\_*'", &["A%_*"]),
    ("name not like '_'", &["D'x", "A%_*"]),
    ("not name='a' and not (source='s2' or source='s3')", &["b"]),
    (
        "NOT name IS NULL AND source IS NOT NULL",
        &["a", "b", "c", "D'x", "A%_*"],
    ),
    ("created_at > '2026-01-03T12:00:00+06:00'", &["D'x", "A%_*"]),
    ("created_at <= '2026-01-02'", &["a", "b"]),
    ("payload->'metadata'->'labels'->>'env'='prod'", &["a", "c"]),
    (
        "payload -> 'metadata' -> 'labels' ->> 'env' <> 'prod'",
        &["b", "A%_*"],
    ),
    (
        "payload->'metadata'->'labels'->>'env'<>null",
        &["a", "b", "c", "A%_*"],
    ),
    (
        "payload->'metadata'->'labels'->>'env'in('prod','dev')",
        &["a", "b", "c"],
    ),
    (
        "payload->'metadata'->'labels'->>'env' not in ('prod','dev')",
        &["A%_*"],
    ),
    (
        "payload->'metadata'->'labels'->>'env' = 'it\\'s'",
        &["A%_*"],
    ),
    ("payload->'metadata'->'labels'->>'n'=5", &["c"]),
    ("payload->'metadata'->'labels'->>'t'='true'", &["c"]),
    ("payload->'metadata'->'labels'->>'z'<>'x'", &[]),
    (
        "payload->'metadata'->'labels'@>'{\"env\":\"prod\"}'",
        &["a", "c"],
    ),
    (
        "payload->'metadata'->'labels'@>'{\"env\":\"prod\",\"k\":\"v\"}' and source='s1'",
        &["a"],
    ),
    ("payload->'metadata'->'labels'@>'{\"n\":\"5\"}'", &[]),
    (
        "payload->'metadata'->'labels'@>'{\"n\":5,\"t\":true,\"z\":null}'",
        &["c"],
    ),
    (
        "payload->'metadata'@>'{\"labels\":{\"list\":[\"y\"]}}'",
        &["A%_*"],
    ),
    ("payload@>'{}' and source=s3", &["A%_*"]),
    ("payload->'items'@>'[{}]'", &["c"]),
    (
        "payload->'items'@>'[{\"m\":{\"l\":{\"foo\":\"bar\"}}},{\"kind\":\"B\"}]'",
        &["c"],
    ),
    // One element has to have it all, and text is no object.
    ("payload->'items'@>'[{\"kind\":\"A\",\"list\":[]}]'", &[]),
    ("payload->'items'@>'[{\"kind\":\"C\"}]'", &[]),
    ("payload@>'{\"items\":[{\"list\":[[2]]}]}'", &["c"]),
    (
        "payload->'items'@>'[{\"list\":[{\"z\":null},[1]]},\"text\"]'",
        &["c"],
    ),
    ("not payload->'items'@>'[[]]'", &["c"]),
    ("not payload->'items'@>'[\"x\"]'", &["c"]),
    ("not payload->'metadata'@>'{\"labels\":{}}'", &["D'x"]),
    ("spec > 4", &["a"]),
    ("spec = 'text'", &["b"]),
    ("spec in (5, 6)", &["a"]),
    ("spec in ()", &[]),
    ("spec not in () and version < 3", &["a", "b"]),
];

fn sqlite() -> rusqlite::Connection {
    let db = rusqlite::Connection::open_in_memory().unwrap();
    db.execute_batch("create table resources (id text, name text, source text, consumer_name text, version integer, created_at text, payload text)")
        .unwrap();
    for (name, source, version, created, payload) in ROWS {
        db.execute(
            "insert into resources values (?1, ?1, ?2, 'c1', ?3, ?4, ?5)",
            rusqlite::params![name, source, version, created, payload],
        )
        .unwrap();
    }
    db
}

fn select_sqlite(db: &rusqlite::Connection, fragment: &Fragment) -> rusqlite::Result<Vec<String>> {
    use rusqlite::types::Value;
    let params = fragment.params.iter().map(|param| match param {
        Param::Text(text) => Value::Text(text.clone()),
        Param::Integer(integer) => Value::Integer(*integer),
        Param::Number(number) => Value::Real(*number),
        Param::Time(time) => Value::Text(time.to_string()),
    });
    let mut statement = db.prepare(&format!(
        "select name from resources where {} order by version",
        fragment.sql
    ))?;
    statement
        .query_map(rusqlite::params_from_iter(params), |row| row.get(0))?
        .collect()
}

fn rendered(search: &str, dialect: Dialect) -> Result<Fragment, Error> {
    render(&maestro::parse(search)?, dialect, &Bundles, 1)
}

#[test]
fn sqlite_finds_what_the_table_says() {
    let db = sqlite();
    for (search, expected) in TABLE {
        let fragment =
            rendered(search, Dialect::Sqlite).unwrap_or_else(|e| panic!("{search}: {e}"));
        let found = select_sqlite(&db, &fragment)
            .unwrap_or_else(|e| panic!("{search}: {e}: {}", fragment.sql));
        assert_eq!(&found, expected, "{search}: {}", fragment.sql);
    }
}

#[tokio::test]
async fn postgres_finds_what_the_table_says() {
    let server = testkit::postgres::Server::shared().await.unwrap();
    let database = server.database().await.unwrap();
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
        .batch_execute("create table resources (id text, name text, source text, consumer_name text, version integer, created_at timestamptz, payload jsonb)")
        .await
        .unwrap();
    for (name, source, version, created, payload) in ROWS {
        client
            .execute(
                "insert into resources values ($1, $1, $2, 'c1', $3, ($4::text)::timestamptz, ($5::text)::jsonb)",
                &[name, source, &(*version as i32), created, payload],
            )
            .await
            .unwrap();
    }
    for (search, expected) in TABLE {
        let fragment =
            rendered(search, Dialect::Postgres).unwrap_or_else(|e| panic!("{search}: {e}"));
        // Times are bound as text here; a server binds them in its own way.
        let sql = fragment.sql.replace("::timestamptz", "::text::timestamptz");
        let params: Vec<Box<dyn tokio_postgres::types::ToSql + Sync + Send>> = fragment
            .params
            .iter()
            .map(|param| match param {
                Param::Text(text) => {
                    Box::new(text.clone()) as Box<dyn tokio_postgres::types::ToSql + Sync + Send>
                }
                Param::Integer(integer) => Box::new(*integer),
                Param::Number(number) => Box::new(*number),
                Param::Time(time) => Box::new(time.to_string()),
            })
            .collect();
        let params: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
            params.iter().map(|p| p.as_ref() as _).collect();
        let rows = client
            .query(
                &format!("select name from resources where {sql} order by version"),
                &params,
            )
            .await
            .unwrap_or_else(|e| panic!("{search}: {e}: {sql}"));
        let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(&found, expected, "{search}: {sql}");
    }
}

#[test]
fn refusals_have_the_words_of_the_protocol() {
    let refused = |search: &str| {
        let error = rendered(search, Dialect::Sqlite)
            .err()
            .unwrap_or_else(|| panic!("{search} was accepted"));
        maestro::refusal(search, &error)
    };
    assert_eq!(refused("name ="), "Failed to parse search query: name =");
    assert_eq!(
        refused("name = 'x"),
        "Failed to parse search query: name = 'x"
    );
    assert_eq!(
        refused("labels.env = 'x'"),
        "labels is not a related resource of Resource"
    );
    assert_eq!(refused("nope = 'x'"), "no field nope");
    assert_eq!(
        refused("version = 'x'"),
        "field 'version' expects an integer"
    );
    assert!(
        refused("payload->'metadata'->>'a'' = 'x'")
            .starts_with("failed to parse the search query: [")
    );
    assert!(refused("payload->'a'@>'{'").contains("not JSON"));
    for list in ["in ()", "not in ( )"] {
        let text = refused(&format!("payload->>'a' {list}"));
        assert!(text.ends_with("found \")\""), "{text}");
    }
    assert!(
        refused(&format!("{}name='a'{}", "(".repeat(40), ")".repeat(40))).contains("search query")
    );
    assert!(maestro::parse(&vec!["name='a'"; 200].join(" or ")).is_err());
    assert!(maestro::parse(&format!("name='{}'", "x".repeat(17_000))).is_err());
}

#[test]
fn hyperfleet_searches_have_labels_with_dots_slashes_and_hyphens() {
    let expr =
        hyperfleet::parse("labels.app.kubernetes.io/part-of = \"x\" and generation > 1Ki").unwrap();
    let Expr::And(list) = &expr else {
        panic!("{expr:?}")
    };
    let Expr::Test {
        operand: search_language::Operand::Field(field),
        ..
    } = &list[0]
    else {
        panic!("{expr:?}")
    };
    assert_eq!(field.parts, ["labels", "app", "kubernetes", "io/part-of"]);
    assert!(format!("{:?}", list[1]).contains("1024"), "{expr:?}");
    assert!(hyperfleet::parse("name in ['a', 'b']").is_ok());
    assert!(hyperfleet::parse("name in ('a', 'b')").is_err());
    assert!(hyperfleet::parse("name = 'it\\'s'").is_ok());
    let long = hyperfleet::parse(&format!("name = '{}'", "x".repeat(5000))).unwrap_err();
    assert_eq!(
        hyperfleet::refusal(&long),
        "search query exceeds maximum length of 4096 characters"
    );
    let error = hyperfleet::parse("name == 'a' or").unwrap_err();
    assert_eq!(error.column(), Some(15), "{error}");
}

#[test]
fn a_literal_on_the_left_means_the_same_in_the_hyperfleet_grammar() {
    let sql = |text: &str| {
        let expr = hyperfleet::parse(text).unwrap();
        render(&expr, Dialect::Sqlite, &Bundles, 1).unwrap()
    };
    for (turned, straight) in [
        ("'x' = name", "name = 'x'"),
        ("\"a\" != name", "name != \"a\""),
        ("5 < version", "version > 5"),
        ("5 >= version and 'x'=name", "version <= 5 and name='x'"),
    ] {
        assert_eq!(sql(turned), sql(straight), "{turned}");
    }
    assert!(hyperfleet::parse("'True' = status.conditions.Reconciled").is_ok());
    assert!(hyperfleet::parse("'a' = 'b'").is_err());
    assert!(hyperfleet::parse("'a' in name").is_err());
    assert!(
        maestro::parse("'a' = name").is_err(),
        "upstream's refuses it"
    );
}

#[test]
fn what_databases_give_up_on_is_refused_before() {
    for (at_most, more) in [
        (
            format!("version{} = 1", " * 2".repeat(32)),
            format!("version{} = 1", " * 2".repeat(33)),
        ),
        (
            format!("payload{} ->> 'a' = 'x'", "->'a'".repeat(31)),
            format!("payload{} ->> 'a' = 'x'", "->'a'".repeat(32)),
        ),
        (
            format!("payload @> '[{}]'", ["1"; 99].join(",")),
            format!("payload @> '[{}]'", ["1"; 100].join(",")),
        ),
        (
            format!("payload @> '{}{}'", "[".repeat(16), "]".repeat(16)),
            format!("payload @> '{}{}'", "[".repeat(17), "]".repeat(17)),
        ),
    ] {
        assert!(maestro::parse(&at_most).is_ok(), "{at_most}");
        assert!(
            matches!(maestro::parse(&more), Err(search_language::Error::Limit(_))),
            "{more}"
        );
    }
    let early = maestro::parse("created_at > '-000001-01-01T00:00:00Z'").unwrap();
    assert!(render(&early, Dialect::Postgres, &Bundles, 1).is_err());
}

/// Each list inside a list nests a query in another, and each object an operator in another.
#[test]
fn sqlite_takes_the_deepest_documents_after_contains() {
    let db = sqlite();
    let nested = |times: usize, open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    for (document, found) in [
        (nested(16, "[", "", "]"), 0),
        (nested(16, "{\"a\":", "1", "}"), 0),
        (nested(8, "[{\"a\":", "1", "}]"), 0),
        (nested(8, "[", &nested(8, "{\"a\":", "1", "}"), "]"), 0),
        (format!("[{}]", ["{}"; 99].join(",")), 1),
    ] {
        let search = format!("payload->'items' @> '{document}'");
        let fragment = rendered(&search, Dialect::Sqlite).unwrap();
        let names = select_sqlite(&db, &fragment);
        let names = names.unwrap_or_else(|e| panic!("{document}: {e}"));
        assert_eq!(names.len(), found, "{document}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,80}") {
        let _ = maestro::parse(&text);
        let _ = hyperfleet::parse(&text);
    }

    #[test]
    fn no_text_that_looks_like_a_search_panics(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "name", "payload", "->", "->>", "@>", "'x'", "'{\"a\":1}'", "(", ")", "and", "or", "not", "in", "like", "is",
                "null", "between", "=", "<>", "5", "-", "*", "[", "]", ",", ".", "\\", "'",
            ]),
            0..24,
        ),
    ) {
        let text = words.join(" ");
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            if let Ok(expr) = maestro::parse(&text) {
                let _ = render(&expr, dialect, &Bundles, 1);
            }
        }
        let _ = hyperfleet::parse(&text);
    }

    /// PostgreSQL refuses a statement with parameters that stand nowhere.
    #[test]
    fn every_parameter_stands_in_the_sql(
        tests in proptest::collection::vec(
            proptest::sample::select(vec![
                "in ()", "not in ()", "in (1, 2)", "in ('x')", "= 5", "<> 'x'", "between 1 and 2", "not between 1 and 2", "like 'x%'",
                "not ilike '%x'", "is null", "is not null", "@> '{\"a\":[1,{\"b\":[]}],\"c\":{}}'", "@> '[]'", "* 2 > 1", "% 2 = 1",
            ]),
            1..6,
        ),
        fields in proptest::collection::vec(
            proptest::sample::select(vec![
                "name", "version", "created_at", "spec", "payload->'a'->>'b'", "payload->'a'", "payload",
            ]),
            6,
        ),
    ) {
        let conditions: Vec<String> = fields.iter().zip(&tests).map(|(field, test)| format!("{field} {test}")).collect();
        let search = conditions.join(" or ");
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let parsed = [maestro::parse(&search), hyperfleet::parse(&search.replace('(', "[").replace(')', "]"))];
            for expr in parsed.into_iter().flatten() {
                let Ok(fragment) = render(&expr, dialect, &Bundles, 3) else { continue };
                let stands = |number: usize| {
                    let marks = fragment.sql.split(['?', '$']).skip(1);
                    marks.filter(|rest| rest.chars().take_while(char::is_ascii_digit).eq(number.to_string().chars())).count()
                };
                for number in 3..3 + fragment.params.len() {
                    prop_assert!(stands(number) > 0, "{number} is missing in {}", fragment.sql);
                }
                prop_assert_eq!(stands(3 + fragment.params.len()), 0);
            }
        }
    }

    /// What a stranger types is only ever a parameter.
    #[test]
    fn hostile_text_is_bound(value in "[ -~]{1,40}") {
        // Such a text is in the other grammar, with other escapes.
        prop_assume!(!maestro::has_json_paths(&value));
        let quoted = value.replace('\'', "''");
        let fragment = rendered(&format!("name = '{quoted}'"), Dialect::Sqlite);
        if let Ok(fragment) = fragment {
            prop_assert_eq!(&fragment.sql, "(name = ?1)");
            prop_assert_eq!(&fragment.params, &vec![Param::Text(value)]);
        }
    }

    #[test]
    fn every_rendered_search_is_valid_sql(
        key in "[ -~]{1,12}", value in "[ -~]{0,12}",
    ) {
        let db = sqlite();
        let escape = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
        let search = format!("payload->'metadata'->'{}'->>'k' = '{}'", escape(&key), escape(&value));
        if let Ok(fragment) = rendered(&search, Dialect::Sqlite) {
            prop_assert!(select_sqlite(&db, &fragment).is_ok(), "{}", search);
        }
    }
}
