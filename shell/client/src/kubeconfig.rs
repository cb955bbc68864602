//! The file in which users keep their clusters.
