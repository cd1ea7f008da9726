//! Answers that a kernel might give, and some that it gives.

use std::io::ErrorKind;

use guard_tests::Host;
use proptest::prelude::*;

use super::*;

/// A message with its header, padded as in a datagram.
fn message(message_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    let mut message = vec![0; header.buffer_len()];
    header.length = u32::try_from(message.len() + payload.len()).unwrap();
    header.message_type = message_type;
    header.emit(&mut message);
    message.extend(payload);
    message.resize(message.len().next_multiple_of(4), 0);
    message
}

/// What is taken out of a datagram, and how it ends.
fn read(datagram: &[u8]) -> (Vec<Vec<u8>>, Result<Progress, ErrorKind>) {
    let mut taken = Vec::new();
    let end = read_datagram(datagram, &mut |payload| {
        taken.push(payload.to_vec());
        Ok(())
    });
    (taken, end.map_err(|error| error.kind()))
}

#[test]
fn a_list_ends_as_the_kernel_says() {
    let items = [message(20, b"one"), message(20, b"three")].concat();
    let error = |number: i32| (-number).to_ne_bytes();
    let cases = [
        ("it goes on", vec![], Ok(Progress::Unfinished)),
        ("it ends", message(NLMSG_DONE, &error(0)), Ok(Progress::Finished)),
        ("it ends without a word", message(NLMSG_DONE, &[]), Ok(Progress::Finished)),
        ("it fails at the end", message(NLMSG_DONE, &error(libc::EPERM)), Err(ErrorKind::PermissionDenied)),
        ("it is refused", message(NLMSG_ERROR, &error(libc::EINVAL)), Err(ErrorKind::InvalidInput)),
        ("nothing is said", message(NLMSG_NOOP, &[]), Ok(Progress::Unfinished)),
        ("a part is lost", message(NLMSG_OVERRUN, &[]), Err(ErrorKind::InvalidData)),
        ("half a header", vec![0; 8], Err(ErrorKind::InvalidData)),
        ("a length below the header's", vec![0; 16], Err(ErrorKind::InvalidData)),
        ("a length beyond the datagram", message(20, &[0; 8])[..20].to_vec(), Err(ErrorKind::InvalidData)),
    ];
    for (case, last, expected) in cases {
        let (taken, end) = read(&[items.clone(), last].concat());
        assert_eq!(end, expected, "{case}");
        assert_eq!(taken, [b"one".to_vec(), b"three".to_vec()], "{case}");
    }
}

#[test]
fn what_is_not_understood_ends_the_list() {
    let end = read_datagram(&message(20, b"one"), &mut |_| Err("what is this?".into()));
    assert_eq!(end.unwrap_err().to_string(), "what is this?");
}

#[test]
fn the_kernels_refusal_is_told() {
    const NO_SUCH_SUBSYSTEM: u16 = 200 << 8;
    let host = Host::new("host");
    let ask = || dump(SockProtocol::NetlinkNetFilter, NO_SUCH_SUBSYSTEM, &[0; 4], |_| Ok(()));
    assert_eq!(host.enter(ask).unwrap_err().raw_os_error(), Some(libc::EINVAL));
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _either = read(&bytes);
    }
}
