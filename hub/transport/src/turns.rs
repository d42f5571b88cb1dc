//! Whose turn it is: urgent, except now and then.

use crate::queue::Tier;

/// Of so many hand-outs one looks at routine first, so that a flood of urgent work does not starve the rest.
pub(crate) const ROUTINE_SHARE: u32 = 5;

/// The order in which a consumer looks at its two tiers.
#[derive(Default)]
pub(crate) struct Turns {
    urgent_in_a_row: u32,
}

impl Turns {
    pub(crate) fn order(&self) -> [Tier; 2] {
        if self.urgent_in_a_row + 1 >= ROUTINE_SHARE {
            [Tier::Routine, Tier::Urgent]
        } else {
            [Tier::Urgent, Tier::Routine]
        }
    }

    pub(crate) fn handed_out(&mut self, tier: Tier) {
        self.urgent_in_a_row = match tier {
            Tier::Urgent => self.urgent_in_a_row.saturating_add(1),
            Tier::Routine => 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_five_is_routine_while_both_wait() {
        let mut turns = Turns::default();
        let handed: Vec<Tier> = (0..10)
            .map(|_| {
                let tier = turns.order()[0];
                turns.handed_out(tier);
                tier
            })
            .collect();
        assert_eq!(handed.iter().filter(|tier| **tier == Tier::Routine).count(), 2);
        assert_eq!(handed[4], Tier::Routine);
    }
}
