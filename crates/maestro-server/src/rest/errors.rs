//! The catalogue of errors.

use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::json as value;

use super::extract::Id;
use super::list::Window;
use super::response::{ErrorBody, Failure, Operation, json};
use crate::problem::{self, CATALOGUE, Problem};

pub(super) async fn list(uri: Uri) -> Response {
    let window = Window::parse(&uri);
    let entries = || {
        CATALOGUE
            .iter()
            .map(|code| ErrorBody::new(*code, code.reason, String::new()))
    };
    let offset = usize::try_from(window.offset()).unwrap_or(usize::MAX);
    let limit = usize::try_from(window.limit()).unwrap_or(usize::MAX);
    let items: Vec<ErrorBody> = entries().skip(offset).take(limit).collect();
    let body = value!({
        "kind": "ErrorList", "page": window.page, "size": items.len(), "total": CATALOGUE.len(), "items": items,
    });
    json(StatusCode::OK, &body)
}

pub(super) async fn get(headers: HeaderMap, Id(id): Id) -> Result<Response, Failure> {
    let known = id
        .parse()
        .ok()
        .and_then(|number: u16| CATALOGUE.iter().find(|code| code.number == number));
    match known {
        Some(code) => Ok(json(
            StatusCode::OK,
            &ErrorBody::new(*code, code.reason, String::new()),
        )),
        None => {
            let problem = Problem::new(problem::NOT_FOUND, format!("No error with id {id} exists"));
            Err(Operation::of(&headers).failed(problem))
        }
    }
}
