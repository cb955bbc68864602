//! gantry-client
