//! Calls that their callers give no more time.
//!
//! tonic answers them with CANCELLED, which Go agents take for their own shutdown. This layer stands inside of tonic's and
//! has the same deadline, or one that is a moment earlier, so its answer is always the first.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use tokio::time::{Instant, sleep_until};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

/// The layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines;

/// A service whose calls end with DEADLINE_EXCEEDED when the time in `grpc-timeout` is over.
#[derive(Clone, Debug)]
pub(super) struct Bounded<S> {
    inner: S,
}

impl<S> Layer<S> for Deadlines {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded { inner }
    }
}

type Answer = Result<Response<Body>, Infallible>;

impl<S> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let deadline = timeout(request.headers()).and_then(|time| Instant::now().checked_add(time));
        let answer = self.inner.call(request);
        match deadline {
            Some(deadline) => Box::pin(until(deadline, answer)),
            None => Box::pin(answer),
        }
    }
}

async fn until(deadline: Instant, answer: impl Future<Output = Answer>) -> Answer {
    let (mut answer, mut over) = (pin!(answer), pin!(sleep_until(deadline)));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(answer);
        }
        // The clock is looked at as well: of two timers the later may be told first.
        if over.as_mut().poll(cx).is_ready() || Instant::now() >= deadline {
            let text = "the call took longer than its grpc-timeout; it may have happened";
            return Poll::Ready(Ok(Status::deadline_exceeded(text).into_http()));
        }
        Poll::Pending
    })
    .await
}

/// What the caller allows: at most eight digits and a unit. What isn't of this form is ignored, as tonic does.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", http::HeaderValue::from_static(text));
            timeout(&headers)
        };
        assert_eq!(read("1n"), Some(Duration::from_nanos(1)));
        assert_eq!(
            read("99999999H"),
            Some(Duration::from_secs(359_999_996_400))
        );
        assert_eq!(read("20S"), Some(Duration::from_secs(20)));
        for odd in ["", "S", "1", "100000000S", "1x", "-1S"] {
            assert_eq!(read(odd), None, "{odd}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
