//! Numbers that carry their own check: of a prescription, and of a patient.

/// Whether this has the form of a prescription's short number: `24F5DA-A83008-7EFE6Z`, that is six random digits, the
/// organisation, five digits and a check character.
pub fn is_prescription_number(text: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
    let upper = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let parts: Vec<&str> = text.split('-').collect();
    let [random, organisation, last] = parts[..] else { return false };
    let lengths = (random.len(), organisation.len(), last.len()) == (6, 6, 6);
    lengths && text.is_ascii() && hex(random) && upper(organisation) && hex(&last[..5]) && {
        let check = &last[5..];
        upper(check) || check == "+"
    }
}

/// Whether the check character of a prescription's number is right: ISO 7064 modulo 37-2, with `+` for `*`.
pub fn has_right_check_character(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter(|c| *c != '-').filter_map(value_of).collect();
    let Some((check, counted)) = digits.split_last() else { return false };
    let weighted = counted.iter().fold(0, |sum, digit| (sum + digit) * 2 % 37);
    (weighted + check) % 37 == 1
}

fn value_of(character: char) -> Option<u32> {
    if character == '+' { Some(36) } else { character.to_digit(36) }
}

/// Whether this is an NHS number: ten digits, the last of which checks the others (modulo 11).
pub fn is_nhs_number(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    if text.len() != 10 || digits.len() != 10 {
        return false;
    }
    let sum: u32 = digits[..9].iter().zip((2..=10).rev()).map(|(digit, weight)| digit * weight).sum();
    // A check digit of ten is never given out.
    (11 - sum % 11) % 11 == digits[9]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_numbers_are_right() {
        for number in ["24F5DA-A83008-7EFE6Z", "4243A0-A99968-4E149+", "B61BA2-0RRERP-F2ACDV", "A0548B-A99968-451485"] {
            assert!(is_prescription_number(number) && has_right_check_character(number), "{number}");
        }
    }

    #[test]
    fn a_slip_of_the_hand_shows() {
        assert!(!has_right_check_character("269CA9-A99968-4577BP"), "published as an error");
        assert!(!has_right_check_character("24F5DA-A83008-7EFE6Y"));
        assert!(!has_right_check_character("24F5AD-A83008-7EFE6Z"), "two digits changed places");
    }

    #[test]
    fn another_form_is_no_number() {
        for number in ["", "24F5DA-A83008", "24f5da-A83008-7EFE6Z", "24F5DA-A83008-7EFE6Z-", "24F5DG-A83008-7EFE6Z"] {
            assert!(!is_prescription_number(number), "{number}");
        }
    }

    #[test]
    fn a_patients_number_checks_itself() {
        assert!(["9449304130", "9990548609", "5839945242"].into_iter().all(is_nhs_number));
        assert!(!["9449304131", "944930413", "94493O4130", ""].into_iter().any(is_nhs_number));
    }
}
