//! Several create the same name at once: one of them is the one.

use gantry_kinds::CONFIG_MAP;
use gantry_kinds::tree::str_at;
use tokio::task::JoinSet;

use super::{PLACE, manifest};
use crate::api::Client;

/// How many run at once.
const RACERS: u64 = 4;

pub(super) async fn run(client: Client) {
    let world = client.world.clone();
    let mut round = 0;
    while !world.is_calm() {
        round += 1;
        let name = format!("race{round}");
        let mut racing = JoinSet::new();
        for racer in 0..RACERS {
            let (client, body) = (client.clone(), manifest::register(&name, racer));
            let server = client.any_server();
            racing.spawn(async move { client.create(server, &CONFIG_MAP, PLACE, body).await });
        }
        let mut winners = Vec::new();
        while let Some(Ok(answer)) = racing.join_next().await {
            winners.extend(answer.ok().map(|reply| str_at(&reply.body, "/metadata/uid").to_owned()));
        }
        if winners.len() > 1 {
            world.violated(format!("{} created {name}: {winners:?}", winners.len()));
        }
        world.pause(500, 6000).await;
    }
}
