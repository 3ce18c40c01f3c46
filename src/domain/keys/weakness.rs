//! Public keys that can be told to be weak by looking at them.

/// The odd primes up to 167: enough that a sound modulus is taken for a weak one once in 2^27.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// The canonical encodings (without the sign bit) of the Ed25519 points whose order divides 8.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
];

/// Whether a big-endian RSA modulus bears the fingerprint of ROCA (CVE-2017-15361).
///
/// The broken generator made primes of the form `k * M + (65537^a mod M)` with `M` a product of
/// small primes, so modulo each of these the modulus is a power of 65537.
pub(super) fn is_roca(modulus: &[u8]) -> bool {
    PRIMES.into_iter().all(|prime| {
        let residue = modulus
            .iter()
            .fold(0, |rest, octet| (rest << 8 | u32::from(*octet)) % prime);
        let generator = 65537 % prime;
        // Every power of 65537 modulo the prime, until they repeat: at most `prime` of them.
        std::iter::successors(Some(generator), |power| {
            Some(power * generator % prime).filter(|next| *next != generator)
        })
        .any(|power| power == residue)
    })
}

/// Whether this is an Ed25519 public key that no honest signer has: one of an order that divides 8
/// (then signatures exist that fit many messages), or not the canonical encoding of its point.
pub(super) fn is_weak_ed25519(key: &[u8; 32]) -> bool {
    let mut unsigned = *key;
    if let Some(last) = unsigned.last_mut() {
        *last &= 0x7f;
    }
    SMALL_ORDER.contains(&unsigned) || is_not_canonical(&unsigned)
}

/// Whether the little-endian number is at least 2^255 - 19.
fn is_not_canonical(unsigned: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = unsigned;
    *last == 0x7f && middle.iter().all(|octet| *octet == 0xff) && *first >= 0xed
}
