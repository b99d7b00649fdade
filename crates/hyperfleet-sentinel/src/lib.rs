//! Decides which resources need a pulse and publishes it.
