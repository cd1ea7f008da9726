//! SipHash-1-3 (Aumasson and Bernstein, 2012) of two words: a hash that nobody who does not know its key can steer.

/// The key: two random words.
pub type Key = [u64; 2];

/// Hashes the sixteen bytes of two little-endian words.
#[inline(always)]
pub const fn hash(key: Key, words: [u64; 2]) -> u64 {
    let mut state = State {
        v0: key[0] ^ 0x736f_6d65_7073_6575,
        v1: key[1] ^ 0x646f_7261_6e64_6f6d,
        v2: key[0] ^ 0x6c79_6765_6e65_7261,
        v3: key[1] ^ 0x7465_6462_7974_6573,
    };
    state = state.absorb(words[0]);
    state = state.absorb(words[1]);
    // The last word holds the bytes that are left, none here, and the length.
    state = state.absorb(16 << 56);
    state.v2 ^= 0xff;
    state = state.round().round().round();
    state.v0 ^ state.v1 ^ state.v2 ^ state.v3
}

#[derive(Clone, Copy)]
struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline(always)]
    const fn absorb(mut self, word: u64) -> Self {
        self.v3 ^= word;
        self = self.round();
        self.v0 ^= word;
        self
    }

    #[inline(always)]
    const fn round(self) -> Self {
        let Self { mut v0, mut v1, mut v2, mut v3 } = self;
        v0 = v0.wrapping_add(v1);
        v1 = v1.rotate_left(13) ^ v0;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v3);
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.wrapping_add(v3);
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.wrapping_add(v1);
        v1 = v1.rotate_left(17) ^ v2;
        v2 = v2.rotate_left(32);
        Self { v0, v1, v2, v3 }
    }
}
