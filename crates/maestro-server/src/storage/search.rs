//! What `search` and `orderBy` may name, and what that is in each database.

use search_language::order::{self, Key};
use search_language::{
    Access, Columns, Dialect, Error, Expr, Fragment, Kind, Predicate, maestro, render,
};

/// A list that can be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Resource bundles.
    Resources,
    /// Consumers.
    Consumers,
}

/// What a list shall hold and in which order, checked.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    filter: Option<Expr>,
    order: Vec<Key>,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Resources => "resources",
            Self::Consumers => "consumers",
        }
    }

    fn singular(self) -> &'static str {
        match self {
            Self::Resources => "Resource",
            Self::Consumers => "Consumer",
        }
    }

    fn columns(self) -> &'static [(&'static str, Holds)] {
        use Holds::{Integer, Json, Text, Time};
        match self {
            Self::Resources => &[
                ("id", Text),
                ("name", Text),
                ("source", Text),
                ("consumer_name", Text),
                ("version", Integer),
                ("type", Text),
                ("payload", Json),
                ("status", Json),
                ("created_at", Time),
                ("updated_at", Time),
                ("deleted_at", Time),
            ],
            Self::Consumers => &[
                ("id", Text),
                ("name", Text),
                ("labels", Json),
                ("created_at", Time),
                ("updated_at", Time),
                ("deleted_at", Time),
            ],
        }
    }

    /// Columns that a list can be ordered by.
    fn orders(self) -> &'static [&'static str] {
        match self {
            Self::Resources => &[
                "id",
                "name",
                "created_at",
                "updated_at",
                "deleted_at",
                "source",
                "consumer_name",
                "version",
                "type",
            ],
            Self::Consumers => &["id", "name", "created_at", "updated_at", "labels"],
        }
    }
}

#[derive(Clone, Copy)]
enum Holds {
    Text,
    Integer,
    Time,
    Json,
}

struct Fields {
    table: Table,
    dialect: Dialect,
}

impl Columns for Fields {
    fn access(&self, predicate: &Predicate<'_>) -> Result<Access<'_>, Error> {
        let parts = &predicate.field.parts;
        let Some((column, qualifiers)) = parts.split_last() else {
            return Err(predicate.refuse("a column is missing"));
        };
        if let Some(qualifier) = qualifiers.last()
            && qualifier != self.table.name()
        {
            let singular = self.table.singular();
            return Err(predicate.refuse(format!(
                "{qualifier} is not a related resource of {singular}"
            )));
        }
        let Some((name, holds)) = self.table.columns().iter().find(|(name, _)| name == column)
        else {
            let known: Vec<&str> = self.table.columns().iter().map(|(name, _)| *name).collect();
            let text = format!(
                "column {column:?} does not exist; columns are {}",
                known.join(", ")
            );
            return Err(predicate.refuse(text));
        };
        let kind = match holds {
            Holds::Json => {
                let (sql, path) = self.document(name, &predicate.field.path);
                return Ok(Access::Json { sql, path });
            }
            Holds::Text => Kind::Text,
            Holds::Integer => Kind::Integer,
            Holds::Time => Kind::Time,
        };
        if !predicate.field.path.is_empty() {
            return Err(predicate.refuse(format!("column {column:?} holds no JSON")));
        }
        Ok(Access::Column {
            sql: (*name).to_owned(),
            kind,
        })
    }
}

impl Fields {
    /// SQLite keeps the metadata of a payload in a column of its own, so that searches by label read no payload.
    fn document(&self, column: &str, path: &[String]) -> (String, Vec<String>) {
        match (self.dialect, column, path) {
            (Dialect::Sqlite, "payload", [first, rest @ ..]) if first == "metadata" => {
                ("metadata".to_owned(), rest.to_vec())
            }
            _ => (column.to_owned(), path.to_vec()),
        }
    }
}

impl Selection {
    /// Reads `search` and `orderBy`; both may be empty.
    ///
    /// # Errors
    /// The words for the client.
    pub fn parse(table: Table, search: &str, order: &str) -> Result<Self, String> {
        let mut selection = Self::default();
        if !search.trim().is_empty() {
            let refuse = |error: Error| maestro::refusal(search, &error);
            let expr = maestro::parse(search).map_err(refuse)?;
            // What one database refuses, the other does as well.
            let fields = Fields {
                table,
                dialect: Dialect::Sqlite,
            };
            render(&expr, Dialect::Sqlite, &fields, 1).map_err(refuse)?;
            selection.filter = Some(expr);
        }
        if !order.trim().is_empty() {
            selection.order = order::maestro(order).map_err(|error| error.to_string())?;
            for key in &selection.order {
                if !table.orders().contains(&key.field.as_str()) {
                    let known = table.orders().join(", ");
                    return Err(format!(
                        "can't order by {:?}; columns are {known}",
                        key.field
                    ));
                }
            }
        }
        Ok(selection)
    }

    /// The condition with its parameters numbered from 1, or nothing.
    ///
    /// # Errors
    /// None after [`Selection::parse`] for the same table.
    pub(super) fn condition(
        &self,
        table: Table,
        dialect: Dialect,
    ) -> Result<Fragment, super::Error> {
        let Some(expr) = &self.filter else {
            return Ok(Fragment::default());
        };
        render(expr, dialect, &Fields { table, dialect }, 1)
            .map_err(|error| super::Error::other(error.to_string()))
    }

    /// The `order by` list; complete, so that pages don't overlap.
    pub(super) fn order(&self) -> String {
        let mut terms: Vec<String> = self
            .order
            .iter()
            .map(|key| {
                // Where rows without a value stand is PostgreSQL's default, said aloud for SQLite.
                let direction = if key.descending {
                    "desc nulls first"
                } else {
                    "asc nulls last"
                };
                format!("{} {direction}", key.field)
            })
            .collect();
        if terms.is_empty() {
            terms.push("created_at".to_owned());
        }
        if !self.order.iter().any(|key| key.field == "id") {
            terms.push("id".to_owned());
        }
        terms.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(search: &str, order: &str) -> String {
        Selection::parse(Table::Resources, search, order).unwrap_err()
    }

    #[test]
    fn refusals_are_in_the_words_of_the_api() {
        assert_eq!(
            refused("garbage", ""),
            "Failed to parse search query: garbage"
        );
        assert!(refused("oops = 'x'", "").starts_with("column \"oops\" does not exist"));
        assert_eq!(
            refused("other.name = 'x'", ""),
            "other is not a related resource of Resource"
        );
        assert_eq!(
            refused("", "name sideways"),
            "bad order value 'name sideways'"
        );
        assert!(refused("", "payload").starts_with("can't order by \"payload\""));
        let eleven = "payload->>'a'='1; drop table resources'";
        assert!(
            Selection::parse(Table::Resources, eleven, "").is_ok(),
            "only ever a parameter"
        );
    }

    #[test]
    fn order_is_always_complete() {
        let order = |text| {
            Selection::parse(Table::Resources, "", text)
                .unwrap()
                .order()
        };
        assert_eq!(order(""), "created_at, id");
        assert_eq!(order("name desc"), "name desc nulls first, id");
        assert_eq!(order("id"), "id asc nulls last");
    }
}
