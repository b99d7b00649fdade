//! One event through all phases.
//!
//! ```text
//! event ─► params ─► preconditions ─► resources ─► post actions ─► outcome
//!             │fail       │gone: stop     │              │
//!             └─ stop     │not met, failed: resources skipped, post actions run
//! ```
//!
//! No state lives between events. `docs/protocol/adapter-pipeline.md` describes every phase.
//!
//! Reading order: [`event`], [`scope`] (what texts can see), [`outcome`] (what comes out), then the phases [`params`],
//! [`preconditions`], [`resources`] with [`discovery`], [`apply`] and [`removal`], [`observe`] (policies), [`post`] with [`report`].

mod apply;
mod conditions;
mod convert;
mod discovery;
pub(crate) mod event;
mod observe;
pub(crate) mod outcome;
mod params;
mod places;
mod post;
mod preconditions;
pub(crate) mod pulse;
mod removal;
mod report;
mod resources;
mod scope;

use std::sync::Arc;

use event_broker::Event;
use jiff::Timestamp;
use maestro_client::TraceContext;
use serde_json::{Map, Value};

use crate::api::{self, Api};
use crate::config::Config;
use crate::config::task::{ApiCall, Log, TaskConfig};
use crate::policy::{FailureClass, ResourcePolicy};
use crate::trace;
use crate::transport::Transport;
pub(crate) use discovery::{MANIFEST_WORK, carried, with_status};
use event::EventData;
use outcome::{ApiRecord, Outcome, Phase, Trace};
use scope::{ExecutionError, Scope};

/// Body text of calls kept for a dry run, in bytes.
const MAX_RECORDED_BODY: usize = 1024 * 1024;

/// Both transports, as far as they are configured.
#[derive(Clone, Default)]
pub(crate) struct Transports {
    pub(crate) kubernetes: Option<Arc<dyn Transport>>,
    pub(crate) maestro: Option<Arc<dyn Transport>>,
}

impl Transports {
    /// The same, whose requests say that they are part of `span`.
    fn traced(&self, span: &TraceContext) -> Self {
        let traced = |transport: &Option<Arc<dyn Transport>>| {
            let transport = transport.as_ref()?;
            Some(transport.traced(span).unwrap_or_else(|| transport.clone()))
        };
        Self {
            kubernetes: traced(&self.kubernetes),
            maestro: traced(&self.maestro),
        }
    }
}

/// Everything that an event needs; shared by all events.
pub(crate) struct Pipeline {
    pub(crate) config: Arc<Config>,
    pub(crate) task: Arc<TaskConfig>,
    pub(crate) api: Arc<dyn Api>,
    pub(crate) transports: Transports,
    pub(crate) policies: Vec<Arc<dyn ResourcePolicy>>,
    /// `config.` sources see this one.
    config_value: Value,
    /// Templates and expressions see this one.
    redacted: Value,
    environment: Value,
    /// Whether calls and manifests are kept for a trace.
    pub(crate) recording: bool,
}

impl Pipeline {
    pub(crate) fn new(
        config: Arc<Config>,
        task: Arc<TaskConfig>,
        api: Arc<dyn Api>,
        transports: Transports,
        policies: Vec<Arc<dyn ResourcePolicy>>,
    ) -> Self {
        let environment = config
            .environment
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().into()))
            .collect();
        Self {
            config_value: config.to_value(),
            redacted: config.to_redacted_value(),
            environment: Value::Object(environment),
            config,
            task,
            api,
            transports,
            policies,
            recording: false,
        }
    }

    /// Runs all phases. Never fails as a whole: what went wrong is in the outcome.
    ///
    /// # Cancel safety
    /// Dropping the future stops between two requests; what was written stays, and the next run continues from there.
    pub(crate) async fn run(&self, event: &Event) -> Outcome {
        let mut run = Run::new(self, event);
        run.all_phases(event).await;
        run.finish()
    }
}

/// The state of one event.
pub(crate) struct Run<'p> {
    pipeline: &'p Pipeline,
    scope: Scope,
    trace: Trace,
    data: EventData,
    /// What its calls are part of; `None` in a dry run without a trace.
    span: Option<TraceContext>,
    /// Those of the pipeline, within the span.
    transports: Transports,
    /// What is noted on objects that this run writes.
    note: Option<String>,
    /// Whether something failed that may work when the event comes again.
    transient: bool,
    now: Timestamp,
    /// Where we are, for the trace.
    phase: Phase,
    step: String,
    /// What policies want changed in the report.
    overrides: Vec<crate::policy::Overrides>,
    touched: Vec<outcome::Touched>,
    /// All resources were looked up before the first was processed.
    pre_discovered: bool,
}

/// Why a phase stopped.
#[derive(Debug, Clone)]
pub(crate) struct PhaseError {
    pub(crate) step: String,
    pub(crate) message: String,
    pub(crate) transient: bool,
}

impl PhaseError {
    fn terminal(step: &str, message: impl Into<String>) -> Self {
        Self {
            step: step.to_owned(),
            message: message.into(),
            transient: false,
        }
    }

    fn api(step: &str, error: &api::Error) -> Self {
        Self {
            step: step.to_owned(),
            message: error.to_string(),
            transient: error.is_retryable(),
        }
    }

    fn transport(step: &str, error: &crate::transport::Error) -> Self {
        Self {
            step: step.to_owned(),
            message: error.message.clone(),
            transient: error.class == FailureClass::Transient,
        }
    }

    fn execution(&self, phase: Phase) -> ExecutionError {
        ExecutionError {
            phase,
            step: self.step.clone(),
            message: self.message.clone(),
        }
    }
}

impl<'p> Run<'p> {
    fn new(pipeline: &'p Pipeline, event: &Event) -> Self {
        let span = trace::of(event);
        Self {
            pipeline,
            scope: Scope::new(),
            trace: Trace::new(event),
            data: EventData::default(),
            transports: match &span {
                Some(span) => pipeline.transports.traced(span),
                None => pipeline.transports.clone(),
            },
            span,
            note: (pipeline.config.rerun.enabled && !pipeline.recording)
                .then(|| pulse::note(event))
                .flatten(),
            transient: false,
            now: Timestamp::now(),
            phase: Phase::Params,
            step: String::new(),
            overrides: Vec::new(),
            touched: Vec::new(),
            pre_discovered: false,
        }
    }
}

impl Run<'_> {
    async fn all_phases(&mut self, event: &Event) {
        match EventData::parse(event) {
            Ok((data, raw)) => {
                self.data = data;
                self.begin(raw);
            }
            Err(message) => {
                let message = format!(
                    "failed to parse event data: failed to unmarshal to EventData: error={message}"
                );
                return self.fail(Phase::Params, &PhaseError::terminal("", message));
            }
        }
        self.enter(Phase::Params);
        tracing::debug!(
            "Phase param_extraction: RUNNING - {} configured",
            self.pipeline.task.params.len()
        );
        if let Err(error) = self.extract_params().await {
            self.scope
                .meta
                .fail("ParameterExtractionFailed", &error.message);
            self.fail(Phase::Params, &error);
            if !self.pipeline.config.report_param_failures {
                return;
            }
            self.scope.meta.skip_resources(&error.message);
            return self.post_phase().await;
        }
        tracing::debug!("Phase param_extraction: SUCCESS");

        self.enter(Phase::Preconditions);
        match self.preconditions().await {
            preconditions::Verdict::Met => {
                tracing::info!(
                    "Phase preconditions: SUCCESS - MET - {} passed",
                    self.trace.preconditions.len()
                );
                self.resources_phase().await;
            }
            preconditions::Verdict::NotMet(reason) => {
                tracing::info!("Phase preconditions: SUCCESS - NOT_MET - {reason}");
                tracing::info!("Phase resources: SKIPPED - {reason}");
                self.scope.meta.skip_resources(&reason);
                self.trace.skipped = Some(reason);
                self.observe_only().await;
            }
            preconditions::Verdict::Gone => {
                tracing::info!(
                    "Phase preconditions: SUCCESS - the resource does not exist any more"
                );
                self.trace.skipped = Some("ResourceNotFound".into());
                self.trace.gone = true;
                return;
            }
            preconditions::Verdict::Failed(error) => {
                self.scope.meta.fail("PreconditionFailed", &error.message);
                self.scope.meta.execution_error = Some(error.execution(Phase::Preconditions));
                self.scope.meta.skip_resources(&error.message);
                self.fail(Phase::Preconditions, &error);
                tracing::info!("Phase resources: SKIPPED - {}", error.message);
                self.observe_only().await;
            }
        }
        self.post_phase().await;
    }

    /// Sets what every text can see.
    fn begin(&mut self, event: Value) {
        let config = &self.pipeline.config;
        let adapter =
            serde_json::json!({"name": config.adapter.name, "version": config.adapter.version});
        self.scope.set("adapter", adapter);
        self.scope.set("config", self.pipeline.redacted.clone());
        self.scope.set("env", self.pipeline.environment.clone());
        self.scope.set("event", event);
    }

    async fn resources_phase(&mut self) {
        self.enter(Phase::Resources);
        tracing::debug!(
            "Phase resources: RUNNING - {} configured",
            self.pipeline.task.resources.len()
        );
        match self.resources().await {
            Ok(()) => tracing::info!(
                "Phase resources: SUCCESS - {} processed",
                self.pipeline.task.resources.len()
            ),
            Err(error) => {
                if self.scope.meta.execution_error.is_none() {
                    self.scope.meta.execution_error = Some(error.execution(Phase::Resources));
                }
                self.scope.meta.fail("ResourceFailed", &error.message);
                self.fail(Phase::Resources, &error);
            }
        }
    }

    async fn post_phase(&mut self) {
        self.enter(Phase::PostActions);
        tracing::debug!(
            "Phase post_actions: RUNNING - {} configured",
            self.pipeline.task.actions.len()
        );
        match self.post_actions().await {
            Ok(()) => tracing::info!(
                "Phase post_actions: SUCCESS - {} executed",
                self.trace.actions.len()
            ),
            Err(error) => {
                self.scope.meta.execution_error = Some(error.execution(Phase::PostActions));
                self.fail(Phase::PostActions, &error);
            }
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.step.clear();
    }

    fn fail(&mut self, phase: Phase, error: &PhaseError) {
        self.transient |= error.transient;
        let place = if error.step.is_empty() {
            String::new()
        } else {
            format!(" {}", error.step)
        };
        tracing::warn!("Phase {phase}: FAILED -{place} {}", error.message);
        self.trace
            .errors
            .insert(phase, format!("[{phase}]{place}: {}", error.message));
    }

    fn finish(mut self) -> Outcome {
        self.trace.params = self.scope.params();
        self.trace.discovered = self.scope.resources.clone();
        self.trace.generation = self.generation();
        Outcome {
            trace: self.trace,
            transient: self.transient,
            touched: self.touched,
        }
    }

    /// The generation of the resource that this run knows: param `generation`, else the event's.
    fn generation(&self) -> i64 {
        let of_param = self.scope.get("generation").and_then(|value| match value {
            Value::Number(number) => number
                .as_i64()
                .or_else(|| go_compat::number::exact_integer(number.as_f64()?)),
            Value::String(text) => text.parse().ok(),
            _ => None,
        });
        of_param.or(self.data.generation).unwrap_or(0)
    }

    /// Renders and sends a call. Template errors come back as the error of a request that was never made.
    async fn call(&mut self, call: &ApiCall) -> Result<api::Response, CallError> {
        let data = self.scope.data();
        let render = |text: &crate::lang::Text, what: &str| {
            text.render(data)
                .map_err(|error| CallError::Render(format!("failed to render {what}: {error}")))
        };
        let url = render(&call.url, "URL")?;
        let mut headers = Vec::with_capacity(call.headers.len());
        for (name, value) in &call.headers {
            headers.push((name.clone(), render(value, &format!("header {name}"))?));
        }
        let body = call
            .body
            .as_ref()
            .map(|body| render(body, "body"))
            .transpose()?
            .filter(|body| !body.is_empty());
        let request = api::Request {
            method: call.method,
            url,
            older_paths: call.older_paths,
            headers,
            body,
            timeout: call.timeout,
            attempts: call.attempts,
            backoff: call.backoff,
            trace: self.span.clone(),
        };
        self.send(request).await
    }

    async fn send(&mut self, request: api::Request) -> Result<api::Response, CallError> {
        let result = self.pipeline.api.call(&request).await;
        if self.pipeline.recording {
            self.record(&request, &result);
        }
        result.map_err(CallError::Api)
    }

    fn record(&mut self, request: &api::Request, result: &Result<api::Response, api::Error>) {
        let settings = &self.pipeline.config.clients.hyperfleet_api;
        let cut = |text: &str| text.chars().take(MAX_RECORDED_BODY).collect::<String>();
        let (status, response_body) = match result {
            Ok(response) => (response.status, cut(&response.body)),
            Err(api::Error::Status { status, body, .. }) => (*status, cut(body)),
            Err(_) => (0, String::new()),
        };
        self.trace.calls.push(ApiRecord {
            phase: self.phase,
            step: self.step.clone(),
            method: request.method.as_str(),
            url: api::url::resolve(
                &settings.base_url,
                &settings.version,
                &request.url,
                request.older_paths,
            )
            .path,
            status,
            request_body: request.body.as_deref().map(cut).unwrap_or_default(),
            response_body,
        });
    }

    /// A log line from the config.
    fn log(&self, log: &Log) {
        let message = match log.message.render(self.scope.data()) {
            Ok(message) if message.is_empty() => return,
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(step = %self.step, "log message can't be rendered: {error}");
                return;
            }
        };
        match log.level {
            tracing::Level::DEBUG | tracing::Level::TRACE => tracing::debug!("[config] {message}"),
            tracing::Level::INFO => tracing::info!("[config] {message}"),
            tracing::Level::WARN => tracing::warn!("[config] {message}"),
            tracing::Level::ERROR => tracing::error!("[config] {message}"),
        }
    }

    fn settings(&self) -> &Map<String, Value> {
        &self.pipeline.config.policy
    }
}

/// Why a configured call failed.
#[derive(Debug, Clone)]
pub(crate) enum CallError {
    Render(String),
    Api(api::Error),
}

impl CallError {
    fn phase_error(&self, step: &str) -> PhaseError {
        match self {
            Self::Render(message) => PhaseError::terminal(step, message),
            Self::Api(error) => PhaseError::api(step, error),
        }
    }

    fn is_object_gone(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_object_gone())
    }
}
