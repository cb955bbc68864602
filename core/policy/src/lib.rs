//! gantry-policy
