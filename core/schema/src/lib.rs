//! gantry-schema
