//! Parameters and envelope of lists.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::Query as UrlQuery;
use http::Uri;

use crate::problem::{self, Problem};
use crate::storage::Query;
use crate::storage::search::{Selection, Table};

/// Rows on a page unless asked otherwise.
const DEFAULT_SIZE: i64 = 100;
/// Most rows on a page.
const MAX_SIZE: i64 = 65_500;

/// Which part of a list, as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Echoed as given.
    pub(super) page: i64,
    size: i64,
}

/// Parameters of a list.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    pub(super) window: Window,
    /// Keys that items shall have; `None` = all.
    pub(super) fields: Option<BTreeSet<String>>,
    selection: Selection,
    /// Whether items may have more keys than upstream's.
    pub(super) full: bool,
}

impl Window {
    pub(super) fn parse(uri: &Uri) -> Self {
        Self::of(&Pairs::of(uri))
    }

    fn of(pairs: &Pairs) -> Self {
        let number = |name: &str, default: i64| match pairs.text(name) {
            "" => default,
            text => integer(text.trim()),
        };
        let size = number("size", DEFAULT_SIZE);
        let size = if size < 0 {
            MAX_SIZE
        } else {
            size.min(MAX_SIZE)
        };
        Self {
            // Go clients read it as 32 bits.
            page: number("page", 1).clamp(i32::MIN.into(), i32::MAX.into()),
            size,
        }
    }

    pub(super) fn offset(self) -> u64 {
        (self.page - 1)
            .max(0)
            .unsigned_abs()
            .saturating_mul(self.limit())
    }

    pub(super) fn limit(self) -> u64 {
        self.size.unsigned_abs()
    }
}

/// A whole number; one that is too large counts as the largest, and text that isn't one as 0.
fn integer(text: &str) -> i64 {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    match text.parse::<i64>() {
        Ok(number) => number,
        Err(error) if *error.kind() == PosOverflow => i64::MAX,
        Err(error) if *error.kind() == NegOverflow => i64::MIN,
        Err(_) => 0,
    }
}

impl Parameters {
    /// Reads the query; `keys` are those that items can have.
    pub(super) fn parse(uri: &Uri, table: Table, keys: &[&str]) -> Result<Self, Problem> {
        let pairs = Pairs::of(uri);
        let fields: BTreeSet<String> = pairs
            .text("fields")
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(ToOwned::to_owned)
            .collect();
        if let Some(unknown) = fields.iter().find(|name| !keys.contains(&name.as_str())) {
            let reason = format!(
                "the field {unknown:?} doesn't exist; fields are {}",
                keys.join(", ")
            );
            return Err(Problem::new(problem::VALIDATION, reason));
        }
        let selection = Selection::parse(table, pairs.text("search"), pairs.text("orderBy"))
            .map_err(|reason| Problem::new(problem::BAD_REQUEST, reason))?;
        Ok(Self {
            window: Window::of(&pairs),
            fields: (!fields.is_empty()).then_some(fields),
            selection,
            full: pairs.text("view") == "full",
        })
    }

    /// What is asked of a single object: all keys, also those that lists don't have.
    pub(super) fn everything() -> Self {
        let window = Window { page: 1, size: 1 };
        Self {
            window,
            fields: None,
            selection: Selection::default(),
            full: true,
        }
    }

    /// The same as a question to the storage.
    pub(super) fn query(&self) -> Query {
        Query {
            selection: self.selection.clone(),
            offset: self.window.offset(),
            limit: self.window.limit(),
        }
    }

    /// Whether items shall have this key.
    pub(super) fn wants(&self, key: &str) -> bool {
        key == "id"
            || self
                .fields
                .as_ref()
                .is_none_or(|fields| fields.contains(key))
    }
}

/// The parameters of a URL; of several with one name, the first counts.
struct Pairs(BTreeMap<String, String>);

impl Pairs {
    fn of(uri: &Uri) -> Self {
        let mut map = BTreeMap::new();
        let pairs = UrlQuery::<Vec<(String, String)>>::try_from_uri(uri);
        for (name, value) in pairs.map(|UrlQuery(pairs)| pairs).unwrap_or_default() {
            map.entry(name).or_insert(value);
        }
        Self(map)
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(query: &str) -> (i64, u64, u64) {
        let window = Window::parse(&format!("/x?{query}").parse().unwrap());
        (window.page, window.offset(), window.limit())
    }

    #[test]
    fn windows_are_forgiving() {
        assert_eq!(window(""), (1, 0, 100));
        assert_eq!(window("page=2&size=5"), (2, 5, 5));
        assert_eq!(window("page=x&size=x"), (0, 0, 0));
        assert_eq!(window("page=-3&size=-1"), (-3, 0, 65_500));
        assert_eq!(window("size=70000"), (1, 0, 65_500));
        assert_eq!(window("size=%201&page=%2B2"), (2, 1, 1));
        assert_eq!(window("page=&size="), (1, 0, 100));
        assert_eq!(window("size=1&size=2").2, 1);
        let largest = window("page=99999999999999999999&size=-99999999999999999999");
        assert_eq!((largest.0, largest.2), (i64::from(i32::MAX), 65_500));
    }

    #[test]
    fn unknown_fields_are_refused_and_id_is_always_there() {
        let parse = |query: &str| {
            Parameters::parse(
                &format!("/x?{query}").parse().unwrap(),
                Table::Consumers,
                &["id", "name"],
            )
        };
        let parameters = parse("fields=name&search=name%3D%27b+c%27").unwrap();
        assert!(parameters.wants("id") && parameters.wants("name") && !parameters.wants("x"));
        assert_eq!(
            parse("fields=name,oops").unwrap_err().code,
            problem::VALIDATION
        );
    }
}
