//! gantry-streams
