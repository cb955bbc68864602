//! Chores of the project: `cargo run -p xtask -- schema ...` writes the table of built-in types.

mod schema;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Chores of the gantry project")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Write the facts table of all types that the served kinds reach.
    Schema {
        /// An upstream swagger.json (OpenAPI v2).
        #[arg(long)]
        swagger: PathBuf,
        /// Tab-separated protobuf facts: package, message, field, number, label, type.
        #[arg(long)]
        protobuf: PathBuf,
        /// Tab-separated measured facts, see the head of core/schema/data/measured.tsv.
        #[arg(long, default_value = "core/schema/data/measured.tsv")]
        measured: PathBuf,
        /// Where to write the table.
        #[arg(long, default_value = "core/schema/data/types.tsv")]
        out: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().chore {
        Chore::Schema { swagger, protobuf, measured, out } => {
            let table = schema::Sources::read(&swagger, &protobuf, &measured)?.table()?;
            Ok(std::fs::write(out, table)?)
        }
    }
}
