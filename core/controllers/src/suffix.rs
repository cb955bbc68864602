//! The endings of generated names: letters and digits that spell no words.

const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Length of a random ending.
const LENGTH: usize = 5;
/// Longest stem that a random ending is put to.
const STEM_MAX: usize = 63 - LENGTH;

/// `stem` with a random ending that `seed` and `at` determine.
pub(crate) fn name(stem: &str, seed: u64, at: usize) -> String {
    let stem = stem.get(..STEM_MAX).unwrap_or(stem);
    let mut bits = mix(seed ^ mix(at as u64));
    let mut name = String::with_capacity(stem.len() + LENGTH);
    name.push_str(stem);
    for _ in 0..LENGTH {
        name.push(char::from(ALPHABET[(bits % 27) as usize]));
        bits /= 27;
    }
    name
}

/// A number as an ending: its decimal digits, each as a letter of the alphabet.
pub(crate) fn encode(number: u32) -> String {
    number.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % 27])).collect()
}

/// 32-bit FNV-1a over all parts.
pub(crate) fn fnv(parts: &[&[u8]]) -> u32 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn endings_differ_by_seed_and_place() {
        let names: BTreeSet<String> = (0..40).flat_map(|seed| (0..40).map(move |at| name("web-", seed, at))).collect();
        assert_eq!(names.len(), 1600);
        assert!(names.iter().all(|n| n.len() == 9 && n.starts_with("web-")));
    }

    #[test]
    fn long_stems_are_cut_to_fit_a_label() {
        assert_eq!(name(&"a".repeat(70), 1, 0).len(), 63);
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv(&[b"a"]), 0xe40c_292c);
        assert_eq!(fnv(&[b"foo", b"bar"]), 0xbf9c_f968);
        assert_eq!(encode(90), "8w".replace('8', &encode(9)).replace('w', &encode(0)));
    }
}
