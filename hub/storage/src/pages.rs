//! Where a page ended, as the caller carries it: opaque, and checked when it comes back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hub_domain::registry::Trouble;

use crate::values::fnv64;

/// Numbers behind a check sum. Not a secret: what is damaged or invented is refused, no more.
pub(crate) fn write(numbers: &[i64]) -> String {
    let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    let sum = fnv64(&bytes).to_be_bytes();
    bytes.extend_from_slice(&sum[..4]);
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn read<const N: usize>(token: &str) -> Result<[i64; N], Trouble> {
    numbers(token)?.try_into().map_err(|_| Trouble::BadPage)
}

pub(crate) fn numbers(token: &str) -> Result<Vec<i64>, Trouble> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Trouble::BadPage)?;
    let (numbers, sum) = bytes.split_last_chunk::<4>().ok_or(Trouble::BadPage)?;
    let (words, rest) = numbers.as_chunks::<8>();
    if fnv64(numbers).to_be_bytes()[..4] != *sum || !rest.is_empty() {
        return Err(Trouble::BadPage);
    }
    Ok(words.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_comes_back_and_a_damaged_one_is_refused() {
        let token = write(&[1, -2, i64::MAX]);
        assert_eq!(read::<3>(&token).unwrap(), [1, -2, i64::MAX]);
        assert!(matches!(read::<2>(&token), Err(Trouble::BadPage)));
        assert!(matches!(read::<3>(&token.replacen('A', "B", 1)), Err(Trouble::BadPage)));
        assert!(matches!(read::<3>("?"), Err(Trouble::BadPage)));
    }
}
