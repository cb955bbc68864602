//! Backups of the real program: under load, restored elsewhere, on a schedule, and everything that must be refused.

mod doctor;
mod elsewhere;
mod load;
mod refused;
mod s3;
mod schedule;
mod world;
