//! The floor beside what is judged by it: on the same servers, in a database of its own.

use std::sync::Arc;

use anyhow::Result;

use super::{Settings, tidy};
use crate::floor::{Floor, Found};
use crate::specimen::Specimen;
use crate::stand::Stand;

/// Orders that the floor writes and sends in a second where the bars of absolute figures are meant: 3,000 submitted orders a
/// second are 0.4 of it.
const ORDERS: f64 = 7500.0;

/// How many times as fast as that machine this one is.
pub(super) fn speed(of_orders: &Found) -> f64 {
    of_orders.rate() / ORDERS
}

pub(super) struct Floored {
    floor: Arc<Floor>,
    database: String,
}

impl Floored {
    /// Rows and messages of orders that are submitted.
    pub(super) async fn of_orders(stand: &Stand, specimen: Specimen) -> Result<Self> {
        Self::lay(stand, specimen, false).await
    }

    /// Rows and messages of orders until they are completed; messages are consumed as well.
    pub(super) async fn of_workflows(stand: &Stand, specimen: Specimen) -> Result<Self> {
        Self::lay(stand, specimen, true).await
    }

    async fn lay(stand: &Stand, specimen: Specimen, consumes: bool) -> Result<Self> {
        let database = stand.database("floor").await?;
        let floor = Floor::lay(specimen, database.clone(), &stand.queue(), consumes).await?;
        Ok(Self { floor, database })
    }

    pub(super) fn note(&self) -> String {
        format!("floor: {} orders to a transaction, the best of a few", self.floor.group)
    }

    /// To be done before and after what is judged by it, so that whatever the machine does meanwhile meets both alike.
    pub(super) async fn measure(&self, settings: &Settings, stand: &Stand) -> Result<Found> {
        tidy(stand, &self.database).await?;
        self.floor.clone().measure(settings.warm, settings.measured).await
    }
}
