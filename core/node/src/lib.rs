//! gantry-node
