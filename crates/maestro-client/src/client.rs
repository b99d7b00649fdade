//! The client and its handles.

use std::sync::Arc;

use event_wire::trace::TraceContext;
use tokio::sync::Semaphore;

use crate::{
    Bundles, Config, Consumers, Error, Works, executors::Executors, grpc::Grpc, rest::Rest,
    token::TokenSource, watch::feed::Feed,
};

/// Pages that the watches of one client ask for at the same time.
const LISTS_AT_ONCE: usize = 4;

/// A connection to one Maestro under one source id. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    operation_id: Option<Arc<str>>,
    trace: Option<Arc<TraceContext>>,
}

pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) rest: Rest,
    pub(crate) grpc: Grpc,
    /// The one subscription of all watches.
    pub(crate) feed: Feed,
    /// Turns of watches that list.
    pub(crate) lists: Semaphore,
    /// What upstream's REST API doesn't show.
    pub(crate) executors: Executors,
}

// === impl Shared ===

impl Shared {
    /// Calls connect anew: the server was silent on a connection, and the others lead the same way.
    pub(crate) fn forget_connections(&self) {
        self.grpc.forget_connection();
        self.rest.forget_connections();
    }
}

// === impl Client ===

impl Client {
    /// A client. Nothing is connected yet; a server that is away is no error here.
    ///
    /// # Errors
    /// A setting that can't work: no source id, a malformed address, TLS files that can't be used.
    pub fn new(config: Config) -> Result<Self, Error> {
        config.check()?;
        if config.token.is_some() && !config.allow_plaintext_token {
            if config.grpc_tls.is_none() {
                tracing::warn!(address = %config.grpc_address, "the token is not sent: the gRPC connection is plaintext");
            }
            if !config.rest_is_tls() {
                tracing::warn!(address = %config.rest_url, "the token is not sent: the REST connection is plaintext");
            }
        }
        let config = Arc::new(config);
        let token = Arc::new(TokenSource::new(config.token.clone()));
        let rest = Rest::new(Arc::clone(&config), Arc::clone(&token))?;
        let grpc = Grpc::new(Arc::clone(&config), token)?;
        Ok(Self {
            shared: Arc::new(Shared {
                config,
                rest,
                grpc,
                feed: Feed::new(),
                lists: Semaphore::new(LISTS_AT_ONCE),
                executors: Executors::default(),
            }),
            operation_id: None,
            trace: None,
        })
    }

    /// A client whose calls carry an operation id: REST calls in `X-Operation-ID`, works in an annotation for log tracing.
    #[must_use]
    pub fn with_operation_id(&self, id: &str) -> Self {
        Self {
            operation_id: Some(id.into()),
            ..self.clone()
        }
    }

    /// A client whose calls belong to a trace: REST calls say so in the headers `traceparent` and `tracestate`, and the events of
    /// works carry it to the agent, so that statuses bring it back.
    #[must_use]
    pub fn with_trace(&self, trace: TraceContext) -> Self {
        Self {
            trace: Some(Arc::new(trace)),
            ..self.clone()
        }
    }

    /// Works of one consumer.
    #[must_use]
    pub fn works(&self, consumer: &str) -> Works {
        Works::new(self.clone(), Some(consumer))
    }

    /// Works of all consumers. Creating and applying take the consumer from the work's namespace.
    #[must_use]
    pub fn all_works(&self) -> Works {
        Works::new(self.clone(), None)
    }

    /// Consumers.
    #[must_use]
    pub fn consumers(&self) -> Consumers {
        Consumers::new(self.clone())
    }

    /// Works of all sources as the REST API shows them.
    #[must_use]
    pub fn bundles(&self) -> Bundles {
        Bundles::new(self.clone())
    }

    /// Who we are.
    #[must_use]
    pub fn source_id(&self) -> &str {
        &self.shared.config.source_id
    }

    /// Watches that are open; they share one subscription.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.shared.feed.members()
    }

    pub(crate) fn operation_id(&self) -> Option<&str> {
        self.operation_id.as_deref()
    }

    pub(crate) fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_deref()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}
