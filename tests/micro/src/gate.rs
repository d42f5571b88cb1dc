//! Bytes from outside, parsed and held against FHIR.

use std::hint::black_box;

use schemas::gate::{Limits, check, parse};

use crate::Work;
use crate::orders::{self, Order};

pub(crate) fn laboratory() -> Work {
    passing(orders::laboratory())
}

pub(crate) fn prescription() -> Work {
    passing(orders::prescription())
}

fn passing(order: Order) -> Work {
    Box::new(move || {
        let body = parse(black_box(order.text.as_bytes()), &Limits::default()).unwrap();
        check(&body, Some(order.kind.name())).unwrap();
        black_box(body);
    })
}
