//! Query parameters: page, order, fields, filters.

use std::collections::BTreeSet;

use axum::extract::Query;
use http::Uri;
use hyperfleet_types::{Code, FieldError};
use search_language::Expr;
use serde_json::{Map, Value};

use crate::{
    error::Rejection,
    registry::Registry,
    search,
    service::Scope,
    store::{Column, Order},
};

/// Largest page.
pub const MAX_SIZE: u32 = 100;
/// Items per page unless the caller says otherwise.
pub const DEFAULT_SIZE: u32 = 20;
/// Last page.
pub const MAX_PAGE: u32 = 100_000;
/// Sort keys in one request.
pub const MAX_ORDER: usize = 16;

/// Path segment of the kind that older clients choose a placement from.
pub const MANAGEMENT_CLUSTERS: &str = "management-clusters";

/// Parameters as they came.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// From 1.
    pub number: u32,
    /// Items per page.
    pub size: u32,
}

impl Page {
    /// Items before it.
    pub fn offset(self) -> u64 {
        u64::from(self.number.saturating_sub(1)) * u64::from(self.size)
    }
}

impl Params {
    /// Takes a query string apart.
    ///
    /// # Errors
    /// A [`Rejection`] if it is not URL-encoded text.
    pub fn parse(uri: &Uri) -> Result<Self, Rejection> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| {
            Rejection::new(
                Code::BadRequest,
                "The query string is not URL-encoded UTF-8 text",
            )
        })?;
        Ok(Self(pairs))
    }

    /// First value of a parameter; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self
            .0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values of a parameter, also those that share one by commas.
    fn listed<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name)
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }

    /// `page` and `size`.
    ///
    /// # Errors
    /// A [`Rejection`] that names both if both are wrong.
    pub fn page(&self) -> Result<Page, Rejection> {
        let mut errors = Vec::new();
        let number = self.number("page", 1, MAX_PAGE, &mut errors);
        let size = self.number("size", DEFAULT_SIZE, MAX_SIZE, &mut errors);
        if errors.is_empty() {
            Ok(Page { number, size })
        } else {
            Err(invalid(errors))
        }
    }

    fn number(&self, name: &str, default: u32, max: u32, errors: &mut Vec<FieldError>) -> u32 {
        let Some(text) = self.get(name) else {
            return default;
        };
        let value = match text.parse::<i64>() {
            Ok(value) => value,
            Err(_) => {
                errors.push(
                    FieldError::new(name, "must be a valid integer")
                        .value(text)
                        .constraint("format"),
                );
                return default;
            }
        };
        let error = |constraint: &str, word: &str, bound: u32| {
            FieldError::new(name, format!("{name} must be at {word} {bound}"))
                .value(value)
                .constraint(constraint)
        };
        if value < 1 {
            errors.push(error("min", "least", 1));
        } else if value > i64::from(max) {
            errors.push(error("max", "most", max));
        }
        u32::try_from(value).unwrap_or(default)
    }

    /// `search`, together with `region` and `status` where they mean something.
    ///
    /// # Errors
    /// A [`Rejection`] for text that is no search.
    pub fn search(&self, scope: &Scope) -> Result<Option<Expr>, Rejection> {
        let mut all = Vec::new();
        if let Some(text) = self.get("search").filter(|text| !text.trim().is_empty()) {
            all.push(search::parse(text)?);
        }
        if scope
            .kind
            .as_ref()
            .is_some_and(|kind| kind.plural == MANAGEMENT_CLUSTERS)
        {
            all.extend(
                self.get("region")
                    .map(|region| search::equals(&["spec", "region"], region)),
            );
            all.extend(self.get("status").map(health));
        }
        Ok(if all.len() > 1 {
            Some(Expr::And(all))
        } else {
            all.pop()
        })
    }

    /// `order`; newest first by default.
    ///
    /// # Errors
    /// A [`Rejection`] for text that is no order and for unknown columns.
    pub fn order(&self) -> Result<Vec<Order>, Rejection> {
        let refuse = |text: String| Rejection::new(Code::BadRequest, text);
        let mut order: Vec<Order> = Vec::new();
        for entry in self.listed("order") {
            let malformed = || {
                refuse(format!(
                    "invalid order format '{entry}': expected 'field' or 'field asc|desc'"
                ))
            };
            let mut words = entry.split_ascii_whitespace();
            let field = words.next().unwrap_or_default();
            let descending = match words.next() {
                None | Some("asc") => false,
                Some("desc") => true,
                Some(_) => return Err(malformed()),
            };
            let name =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if words.next().is_some()
                || !field.bytes().all(name)
                || field.starts_with(|first: char| first.is_ascii_digit())
            {
                return Err(malformed());
            }
            let column =
                Column::from_name(field).ok_or_else(|| refuse(search::UNKNOWN_FIELD.to_owned()))?;
            if order.len() == MAX_ORDER {
                return Err(refuse(format!(
                    "at most {MAX_ORDER} order fields are supported"
                )));
            }
            order.push(Order { column, descending });
        }
        if order.is_empty() {
            order.push(Order {
                column: Column::CreatedTime,
                descending: true,
            });
        }
        Ok(order)
    }

    /// `kind`, on the kind-agnostic root only.
    ///
    /// # Errors
    /// A [`Rejection`] for an unknown kind.
    pub fn kind(&self, scope: &Scope, registry: &Registry) -> Result<Option<String>, Rejection> {
        match self.get("kind").filter(|_| scope.kind.is_none()) {
            None => Ok(None),
            Some(kind) if registry.kind(kind).is_some() => Ok(Some(kind.to_owned())),
            Some(kind) => Err(Rejection::invalid(format!("Unknown entity kind: {kind}"))),
        }
    }

    /// `ref_type` and `ref_target_id`.
    ///
    /// # Errors
    /// A [`Rejection`] if one is missing or the type is unknown.
    pub fn linked(&self, scope: &Scope) -> Result<Option<(String, String)>, Rejection> {
        let Some(kind) = &scope.kind else {
            return Ok(None);
        };
        match (self.get("ref_type"), self.get("ref_target_id")) {
            (None, None) => Ok(None),
            (Some(ref_type), Some(_)) if kind.reference(ref_type).is_none() => {
                Err(Rejection::invalid(format!(
                    "Unknown ref_type \"{ref_type}\" for entity {}",
                    kind.kind
                )))
            }
            // An id that is none links to nothing; it need not be asked for as it is.
            (Some(ref_type), Some(target)) => {
                Ok(Some((ref_type.to_owned(), target.replace('\0', ""))))
            }
            (ref_type, _) => {
                let missing = if ref_type.is_none() {
                    "ref_type"
                } else {
                    "ref_target_id"
                };
                let error = FieldError::new(
                    missing,
                    "ref_type and ref_target_id must be provided together",
                )
                .constraint("required");
                Err(invalid(vec![error]))
            }
        }
    }

    /// `fields`.
    ///
    /// # Errors
    /// A [`Rejection`] that names every unknown field.
    pub fn fields(&self) -> Result<Fields, Rejection> {
        let wanted: BTreeSet<&str> = self.listed("fields").collect();
        let unknown: Vec<&str> = wanted
            .iter()
            .copied()
            .filter(|name| !FIELDS.contains(name))
            .collect();
        if !unknown.is_empty() {
            let text = format!(
                "The following field(s) doesn't exist in `Resource`: {}",
                unknown.join(", ")
            );
            return Err(Rejection::invalid(text));
        }
        Ok(Fields(
            wanted
                .into_iter()
                .map(|name| name.split('.').next().unwrap_or(name).to_owned())
                .collect(),
        ))
    }
}

/// A management cluster is healthy if a condition says so, and without such a condition if its spec does.
fn health(status: &str) -> Expr {
    let claimed = search::equals(&["spec", "status"], status);
    if status != "healthy" {
        return claimed;
    }
    let conditions = [
        ["status", "conditions", "Healthy"],
        ["status", "conditions", "Available"],
    ];
    let mut unknown: Vec<Expr> = conditions
        .iter()
        .map(|condition| search::is_null(condition))
        .collect();
    unknown.push(claimed);
    let mut any: Vec<Expr> = conditions
        .iter()
        .map(|condition| search::equals(condition, "True"))
        .collect();
    any.push(Expr::And(unknown));
    Expr::Or(any)
}

fn invalid(errors: Vec<FieldError>) -> Rejection {
    Rejection::invalid("Invalid query parameters").errors(errors)
}

/// What `fields` may name.
const FIELDS: [&str; 18] = [
    "id",
    "kind",
    "name",
    "href",
    "spec",
    "labels",
    "tenancy",
    "generation",
    "created_time",
    "updated_time",
    "created_by",
    "updated_by",
    "deleted_time",
    "deleted_by",
    "owner_references",
    "references",
    "status.conditions",
    "status.*",
];

/// Which members of a resource are shown; none means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(BTreeSet<String>);

impl Fields {
    /// Whether nothing is left out.
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves the chosen members, and always the id.
    pub fn apply(&self, resource: Value) -> Value {
        match resource {
            Value::Object(members) if !self.0.is_empty() => {
                let chosen = members
                    .into_iter()
                    .filter(|(name, _)| name == "id" || self.0.contains(name));
                Value::Object(chosen.collect::<Map<String, Value>>())
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(&format!("/x?{query}").parse().unwrap()).unwrap()
    }

    #[test]
    fn pages_have_defaults_and_bounds() {
        assert_eq!(
            params("").page().unwrap(),
            Page {
                number: 1,
                size: 20
            }
        );
        assert_eq!(params("page=3&size=100").page().unwrap().offset(), 200);
        for (query, field, constraint, message) in [
            ("page=abc", "page", "format", "must be a valid integer"),
            ("size=0", "size", "min", "size must be at least 1"),
            ("size=101", "size", "max", "size must be at most 100"),
            ("page=100001", "page", "max", "page must be at most 100000"),
            ("page=-1", "page", "min", "page must be at least 1"),
        ] {
            let rejection = params(query).page().unwrap_err();
            assert_eq!(rejection.detail, "Invalid query parameters");
            let error = &rejection.errors[0];
            assert_eq!(
                (
                    error.field.as_str(),
                    error.constraint.as_deref(),
                    error.message.as_str()
                ),
                (field, Some(constraint), message)
            );
        }
        assert_eq!(params("page=x&size=y").page().unwrap_err().errors.len(), 2);
    }

    #[test]
    fn orders_are_columns_with_a_direction() {
        let newest = Order {
            column: Column::CreatedTime,
            descending: true,
        };
        let name = Order {
            column: Column::Name,
            descending: false,
        };
        assert_eq!(params("").order().unwrap(), [newest]);
        assert_eq!(params("order=%20,%20").order().unwrap(), [newest]);
        for query in [
            "order=name,created_time%20desc",
            "order=name%20asc&order=created_time%20%20desc",
        ] {
            assert_eq!(params(query).order().unwrap(), [name, newest]);
        }
    }

    #[test]
    fn f93_hostile_orders_are_refused() {
        for hostile in [
            "name;%20drop%20table",
            "a--",
            "name%20up",
            "NAME",
            "1name",
            "name%20asc%20desc",
            "name%00",
            "(select%201)",
        ] {
            let rejection = params(&format!("order={hostile}")).order().unwrap_err();
            assert!(
                rejection.code == Code::BadRequest
                    && rejection.detail.starts_with("invalid order format"),
                "{rejection}"
            );
        }
        assert_eq!(
            params("order=nope").order().unwrap_err().detail,
            "invalid field in search or order query"
        );
    }

    #[test]
    fn fields_choose_members_and_keep_the_id() {
        let resource = json!({"id": "i", "name": "n", "status": {"conditions": []}, "spec": {}});
        assert_eq!(
            params("fields=name")
                .fields()
                .unwrap()
                .apply(resource.clone()),
            json!({"id": "i", "name": "n"})
        );
        let chosen = params("fields=status.conditions&fields=id")
            .fields()
            .unwrap()
            .apply(resource.clone());
        assert_eq!(chosen, json!({"id": "i", "status": {"conditions": []}}));
        assert_eq!(
            params("").fields().unwrap().apply(resource.clone()),
            resource
        );
        let text = params("fields=nope,status,name")
            .fields()
            .unwrap_err()
            .detail;
        assert_eq!(
            text,
            "The following field(s) doesn't exist in `Resource`: nope, status"
        );
    }

    proptest! {
        #[test]
        fn no_query_panics(query in "[a-z=&%0-9,;]{0,60}") {
            if let Ok(uri) = format!("/x?order={query}&fields={query}&page={query}").parse()
                && let Ok(params) = Params::parse(&uri)
            {
                let _ = (params.page(), params.order(), params.fields());
            }
        }
    }
}
