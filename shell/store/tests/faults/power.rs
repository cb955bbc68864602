//! Power losses, kills and failed syncs at any moment.

use gantry_store::{Sizes, StoreError};

use crate::model::World;

const SMALL: Sizes = Sizes { segment: 4096, slack: 4096, free: 0 };

/// One life of a store in a bad place; returns how often the power went.
fn live(seed: u64, steps: u64) -> u64 {
    let mut world = World::new(seed, SMALL);
    for _ in 0..steps {
        let result = match world.numbers.below(40) {
            0 => {
                world.crash();
                Ok(())
            }
            1 => {
                world.kill();
                Ok(())
            }
            2 => {
                world.close();
                Ok(())
            }
            3 => {
                let disk = world.store.disk().clone();
                disk.cut_power_after(world.numbers.below(20));
                world.commit()
            }
            4 if world.numbers.one_in(4) => {
                world.store.disk().fail_next_sync();
                world.commit()
            }
            5 => world.flush(),
            6 | 7 => world.compact(),
            8 => world.store.clean().map(drop),
            _ => world.commit(),
        };
        match result {
            Ok(()) => {}
            // After a failed write a process ends; whether its machine goes on is another matter.
            Err(
                StoreError::Unknown { .. }
                | StoreError::Poisoned { .. }
                | StoreError::Unavailable { .. }
                | StoreError::Io { .. },
            ) => {
                if world.numbers.one_in(3) && !world.is_off() {
                    world.kill()
                } else {
                    world.crash()
                }
            }
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
    world.crash();
    world.crashes
}

/// Seeds of each half: `GANTRY_STORE_SEEDS`, or some hundred.
fn seeds() -> u64 {
    std::env::var("GANTRY_STORE_SEEDS").map_or(500, |seeds| seeds.parse().expect("a number of seeds"))
}

fn lives(seeds: impl Iterator<Item = u64>) {
    let crashes: u64 = seeds.map(|seed| live(seed, 150)).sum();
    assert!(crashes > 1000, "{crashes} power losses");
}

#[test]
fn f2_a_power_loss_takes_nothing_that_was_acknowledged_1() {
    lives((0..seeds()).map(|seed| 2 * seed));
}

#[test]
fn f2_a_power_loss_takes_nothing_that_was_acknowledged_2() {
    lives((0..seeds()).map(|seed| 2 * seed + 1));
}

/// Every operation on the disk, one after the other, is the last one before the power goes.
#[test]
fn f2_the_power_may_go_between_any_two_operations() {
    for cut in 0..400 {
        let mut world = World::new(7, SMALL);
        world.store.disk().cut_power_after(cut);
        while world.store.disk().operations() < 600 {
            let result = match world.numbers.below(10) {
                0 => world.compact(),
                1 => world.store.clean().map(drop),
                _ => world.commit(),
            };
            if result.is_err() {
                break;
            }
        }
        world.crash();
        for _ in 0..20 {
            world.commit().unwrap();
        }
        world.crash();
    }
}
