//! Maestro: REST, source gRPC, agent gRPC, storage, delivery.
