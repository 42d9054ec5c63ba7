//! Hostile and friendly guests against the engine.
