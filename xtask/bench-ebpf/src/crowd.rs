//! Which address a member of a crowd has. Shared by the generator, which writes it into frames, and `cargo xtask bench`, which checks them.

/// Spreads numbers over all values of `mask`, whose bits are the low ones: no two that differ there come out the same.
pub(crate) const fn scatter(number: u32, mask: u32) -> u32 {
    // Adding, multiplying by an odd number and shifting down to where something is left can all be undone.
    let number = number.wrapping_add(0x0076_5431).wrapping_mul(0x9e37_79b1) & mask;
    let number = (number ^ (number >> 11)).wrapping_mul(0x85eb_ca6b) & mask;
    number ^ (number >> 13)
}
