//! OCM CloudEvents over gRPC: protobuf, attributes, codecs.
