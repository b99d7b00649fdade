//! Answers in the form that the client takes: gzip or deflate, portion by portion, so that lists stay streams.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio_stream::Stream;

/// Memory per compressed answer is some 300 KB whatever the level; the lowest is the quickest.
const LEVEL: Compression = Compression::fast();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
}

/// Compresses what comes out, if the client takes it.
pub(super) async fn compressed(request: Request, next: Next) -> Response {
    let coding = accepted(request.headers());
    let is_head = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let Some(coding) = coding else {
        return response;
    };
    let has_body = !is_head
        && response.status() != StatusCode::NO_CONTENT
        && axum::body::HttpBody::size_hint(response.body()).exact() != Some(0);
    if !has_body {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let name = match coding {
        Coding::Gzip => "gzip",
        Coding::Deflate => "deflate",
    };
    parts
        .headers
        .insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    let stream = Compressed {
        body: body.into_data_stream(),
        encoder: Some(Encoder::new(coding)),
    };
    Response::from_parts(parts, Body::from_stream(stream))
}

/// The first known coding that the client takes.
fn accepted(headers: &HeaderMap) -> Option<Coding> {
    let lists = headers.get_all(header::ACCEPT_ENCODING);
    let items = lists.iter().filter_map(|list| list.to_str().ok());
    items.flat_map(|list| list.split(',')).find_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let coding = match parts.next()?.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Coding::Gzip,
            "deflate" => Coding::Deflate,
            _ => return None,
        };
        let refused = parts.any(|part| {
            part.strip_prefix("q=")
                .is_some_and(|weight| weight.parse::<f32>() == Ok(0.0))
        });
        (!refused).then_some(coding)
    })
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

impl Encoder {
    fn new(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), LEVEL)),
            Coding::Deflate => Self::Deflate(ZlibEncoder::new(Vec::new(), LEVEL)),
        }
    }

    /// What is ready after this portion; everything, so that a slow list is seen as it comes.
    fn portion(&mut self, data: &[u8]) -> io::Result<Bytes> {
        let ready = match self {
            Self::Gzip(encoder) => {
                encoder.write_all(data)?;
                encoder.flush()?;
                encoder.get_mut()
            }
            Self::Deflate(encoder) => {
                encoder.write_all(data)?;
                encoder.flush()?;
                encoder.get_mut()
            }
        };
        Ok(std::mem::take(ready).into())
    }

    fn end(self) -> io::Result<Bytes> {
        let rest = match self {
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Deflate(encoder) => encoder.finish()?,
        };
        Ok(rest.into())
    }
}

struct Compressed {
    body: BodyDataStream,
    /// `None` once the end is written.
    encoder: Option<Encoder>,
}

impl Stream for Compressed {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.encoder.is_none() {
            return Poll::Ready(None);
        }
        let next = ready!(Pin::new(&mut self.body).poll_next(cx));
        let written = match next {
            Some(Ok(data)) => match &mut self.encoder {
                Some(encoder) => encoder.portion(&data),
                None => return Poll::Ready(None),
            },
            // A body that is broken off must not look whole.
            Some(Err(error)) => {
                self.encoder = None;
                return Poll::Ready(Some(Err(error.into())));
            }
            None => match self.encoder.take() {
                Some(encoder) => encoder.end(),
                None => return Poll::Ready(None),
            },
        };
        Poll::Ready(Some(written.map_err(Into::into)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coding(list: &str) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, list.parse().unwrap());
        accepted(&headers)
    }

    #[test]
    fn the_first_coding_that_is_known_and_not_refused_is_taken() {
        assert_eq!(coding("gzip"), Some(Coding::Gzip));
        assert_eq!(coding("br, deflate;q=0.5, gzip"), Some(Coding::Deflate));
        assert_eq!(coding("gzip;q=0, deflate"), Some(Coding::Deflate));
        assert_eq!(coding("br, identity"), None);
        assert_eq!(accepted(&HeaderMap::new()), None);
    }
}
