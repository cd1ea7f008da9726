//! The hash of the buckets beside another implementation of it.

use std::hash::Hasher as _;

use guard_common::siphash::hash;
use proptest::prelude::*;
use siphasher::sip::SipHasher13;

fn expected(key: [u64; 2], words: [u64; 2]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(key[0], key[1]);
    words.iter().for_each(|word| hasher.write(&word.to_le_bytes()));
    hasher.finish()
}

#[test]
fn words_of_all_kinds() {
    let kinds = [0, 1, 0x0706_0504_0302_0100, 1 << 63, u64::MAX];
    for key in kinds {
        for other_key in kinds {
            for word in kinds {
                for other in kinds {
                    let (key, words) = ([key, other_key], [word, other]);
                    assert_eq!(hash(key, words), expected(key, words), "{key:x?} {words:x?}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_words(key: [u64; 2], words: [u64; 2]) {
        prop_assert_eq!(hash(key, words), expected(key, words));
    }
}
