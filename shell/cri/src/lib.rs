//! gantry-cri
