//! What must differ from object to object, drawn from the request's seed.

/// Letters of name suffixes: no vowels, nothing that is easily mistaken.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Length of a name suffix.
const SUFFIX: usize = 5;

/// A sequence of numbers from one seed.
pub(crate) struct Draw(u64);

impl Draw {
    /// The sequence for one purpose: different purposes of one request draw different numbers.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let salt = purpose
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Draw(seed ^ salt)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A version 4 UUID.
    pub(crate) fn uid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }

    /// The end of a generated name.
    pub(crate) fn suffix(&mut self) -> String {
        (0..SUFFIX).map(|_| char::from(LETTERS[self.below(LETTERS.len() as u64) as usize])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_differ_and_seeds_repeat() {
        assert_eq!(Draw::new(7, "uid").uid(), Draw::new(7, "uid").uid());
        assert_ne!(Draw::new(7, "uid").uid(), Draw::new(8, "uid").uid());
        assert_ne!(Draw::new(7, "uid").uid(), Draw::new(7, "name").uid());
        let uid = Draw::new(1, "uid").uid();
        assert!(uid.len() == 36 && &uid[14..15] == "4" && "89ab".contains(&uid[19..20]), "{uid}");
        assert_eq!(Draw::new(1, "name").suffix().len(), 5);
    }
}
