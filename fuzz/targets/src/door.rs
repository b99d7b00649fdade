//! A whole server, and requests at its doors as a stranger would send them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use event_wire::proto::cloud_event_service_client::CloudEventServiceClient;
use event_wire::proto::{CloudEvent, PublishRequest};
use maestro_server::{Addresses, Config, Service};
use prost::Message as _;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Channel;

/// A server that needs longer than this has lost its way.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest text of a refusal, bytes: it travels in a header.
const MAX_REFUSAL: usize = 8 * 1024;
/// What only a database says.
const DATABASE_WORDS: [&str; 10] = [
    "SQLSTATE",
    "sqlite",
    "syntax error",
    "no such column",
    "constraint \"",
    "pg_",
    "rusqlite",
    "tokio_postgres",
    "db error",
    "near \"",
];

/// A running server.
pub struct Door {
    runtime: Runtime,
    addresses: Addresses,
    source: CloudEventServiceClient<Channel>,
    agent: CloudEventServiceClient<Channel>,
    shutdown: CancellationToken,
}

impl Door {
    /// A server with the consumer `c1`.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn open(config: Config) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let service = runtime.block_on(Service::bind(config)).unwrap();
        let addresses = service.addresses();
        runtime.spawn(async move { service.run(token).await.unwrap() });
        let connect = |address: SocketAddr| {
            let _inside = runtime.enter();
            let channel = Channel::from_shared(format!("http://{address}"))
                .unwrap()
                .timeout(PATIENCE)
                .connect_lazy();
            CloudEventServiceClient::new(channel).max_encoding_message_size(16 * 1024 * 1024)
        };
        let (source, agent) = (connect(addresses.grpc), connect(addresses.broker));
        let door = Self {
            runtime,
            addresses,
            source,
            agent,
            shutdown,
        };
        door.rest(b"POST /api/maestro/v1/consumers\n{\"name\":\"c1\"}");
        door
    }

    /// A REST request: method and path on the first line, then the body.
    ///
    /// # Panics
    /// When the server fails, says what only a database says, or says too much.
    pub fn rest(&self, data: &[u8]) -> u16 {
        let line = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let body = data.get(line.len() + 1..).unwrap_or_default();
        let mut head = Vec::new();
        let mut spaces = 0;
        for byte in line {
            match byte {
                b' ' if spaces == 0 => {
                    spaces = 1;
                    head.push(b' ');
                }
                // Nearly everything reaches the handlers.
                b'!'..=b'~' => head.push(*byte),
                other => head.extend(format!("%{other:02X}").bytes()),
            }
        }
        head.extend(format!(" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len()).bytes());
        let mut stream = TcpStream::connect(self.addresses.rest).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The server may answer and close before it has read everything.
        let _ = stream
            .write_all(&head)
            .and_then(|()| stream.write_all(body));
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        }
        let answer = String::from_utf8_lossy(&answer);
        let status: u16 = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(400);
        let request = String::from_utf8_lossy(&head);
        assert!(status < 500, "the server failed at {request:?}: {answer}");
        if status >= 400 {
            discreet(&answer, &request);
        }
        status
    }

    /// An event at the source port.
    ///
    /// # Panics
    /// As [`Door::rest`].
    pub fn source(&self, data: &[u8]) {
        self.publish(&self.source, data);
    }

    /// An event at the agent port.
    ///
    /// # Panics
    /// As [`Door::rest`].
    pub fn agent(&self, data: &[u8]) {
        self.publish(&self.agent, data);
    }

    /// Whether it still serves.
    ///
    /// # Panics
    /// When it doesn't.
    pub fn still_serves(&self) {
        assert_eq!(self.rest(b"GET /api/maestro/v1/consumers"), 200);
        assert_eq!(
            self.rest(b"GET /api/maestro/v1/resource-bundles?size=3"),
            200
        );
        let good = CloudEvent::from(crate::seeds::spec(event_wire::Action::DeleteRequest));
        self.source(&good.encode_to_vec());
    }

    fn publish(&self, port: &CloudEventServiceClient<Channel>, data: &[u8]) {
        let Ok(event) = CloudEvent::decode(data) else {
            return;
        };
        let request = PublishRequest { event: Some(event) };
        let mut port = port.clone();
        let Err(status) = self.runtime.block_on(port.publish(request)) else {
            return;
        };
        let bad = [
            Code::Unknown,
            Code::Internal,
            Code::Unavailable,
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::DataLoss,
        ];
        assert!(
            !bad.contains(&status.code()),
            "the server failed: {status:?}"
        );
        discreet(status.message(), "");
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// No words of a database (unless the stranger said them first), and no flood.
fn discreet(answer: &str, request: &str) {
    for word in DATABASE_WORDS {
        assert!(
            !answer.contains(word) || request.contains(word),
            "an answer says {word:?}: {answer}"
        );
    }
    assert!(
        answer.len() <= MAX_REFUSAL + 3 * request.len(),
        "a refusal of {} bytes",
        answer.len()
    );
}

/// The door of libFuzzer's runs: SQLite in memory.
pub fn shared() -> &'static Door {
    static DOOR: OnceLock<Door> = OnceLock::new();
    DOOR.get_or_init(|| Door::open(Config::default()))
}
