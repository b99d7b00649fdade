//! Publish and subscribe over an in-process broker (RabbitMQ and Pub/Sub by feature).
