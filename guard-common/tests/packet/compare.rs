//! The parser's answer beside etherparse's. Shared with the fuzz target.

use crate::{
    bytes,
    difference::{self, Difference, Instead},
    oracle::{self, Answer},
};

/// Panics if the parsers disagree otherwise than [`Difference`] knows. Returns the difference that alone explains a
/// disagreement.
pub(crate) fn compare(frame: &[u8]) -> Option<Difference> {
    let ours = Answer::from(bytes::read(frame));
    let theirs = oracle::read(frame);
    let (expected, differences) = expect(frame);
    assert_eq!(ours, expected, "etherparse answers {theirs:?}, known differences {differences:?}, frame {frame:02x?}");
    match differences[..] {
        [difference] if ours != theirs => Some(difference),
        _ => None,
    }
}

/// Returns the answer that etherparse would give without the known differences, and those that lie in the frame.
fn expect(frame: &[u8]) -> (Answer, Vec<Difference>) {
    let Some((difference, instead)) = difference::find(frame) else { return (oracle::read(frame), Vec::new()) };
    let (answer, mut differences) = match instead {
        Instead::Answer(answer) => (answer, Vec::new()),
        Instead::Like(frame, fact) => {
            let (answer, differences) = expect(&frame);
            (fact.write_into(answer), differences)
        }
    };
    differences.push(difference);
    (answer, differences)
}
