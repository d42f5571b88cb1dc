//! Points in time outside of a plan that some of its times are counted from: an order that does not know them cannot start.

use hub_fhirpath::Expression;
use schemas::outcome::{Issue, IssueType};
use schemas::plan::Point;
use schemas::resource::Key;
use schemas::time::Timestamp;
use serde_json::Value;

use super::Stop;
use super::order::Order;
use super::sight::Sight;
use crate::apply;
use crate::refusal::{Refusal, RefusalKind};

impl Order<'_, '_> {
    /// `before`: those of the plan that it had. What was found for them stays.
    pub(super) fn find_points(&mut self, before: Option<&[Point]>) -> Result<(), Stop> {
        let had = std::mem::take(&mut self.run().points);
        let points = self.graph.points.clone();
        if points.is_empty() {
            return Ok(());
        }
        let sight = Sight::of(self, points.iter().map(|point| point.expression.as_str()), None)?;
        let mut found = Vec::with_capacity(points.len());
        for point in &points {
            let known = before.and_then(|before| before.iter().position(|other| other.is_as(point)));
            let known = known.and_then(|n| had.get(n).copied().flatten());
            found.push(if known.is_some() { known } else { self.find_point(point, &sight)? });
        }
        let faults: Vec<Issue> = points
            .iter()
            .enumerate()
            .filter(|(n, _)| found[*n].is_none() && self.is_counted_from(*n))
            .map(unknown)
            .collect();
        self.run().points = found;
        if faults.is_empty() { Ok(()) } else { Err(Refusal::new(RefusalKind::Unprocessable, faults).into()) }
    }

    /// Of a date that is not exact, its beginning.
    fn find_point(&self, point: &Point, sight: &Sight) -> Result<Option<Timestamp>, Stop> {
        let asked = match point.of.as_deref().and_then(Key::of_reference) {
            Some(key) => self.if_here(&key)?,
            None => self.requests()?.into_iter().next(),
        };
        let Some((asked, expression)) = asked.zip(Expression::parse(&point.expression).ok()) else { return Ok(None) };
        let found = apply::evaluated(&expression, asked.body.tree(), &sight.scope(None, self.draft.now()));
        Ok(match found.unwrap_or_default().as_slice() {
            [Value::String(text)] => Timestamp::range(text).map(|(first, _)| first),
            _ => None,
        })
    }

    /// Something that is a part of the order.
    fn is_counted_from(&mut self, point: usize) -> bool {
        let of_point = |node: &usize| self.graph.nodes[*node].point == Some(point);
        let nodes: Vec<usize> = (1..self.graph.nodes.len()).filter(of_point).collect();
        let leaves: Vec<usize> = nodes.into_iter().flat_map(|node| self.graph.leaves_of(node)).collect();
        leaves.into_iter().any(|leaf| !self.state(leaf).withdrawn)
    }
}

fn unknown((_, point): (usize, &Point)) -> Issue {
    let of = point.of.as_deref().unwrap_or("the request");
    let text = format!("the time is counted from {} of {of}, which gives no date or time here", point.expression);
    Issue::error(IssueType::NotFound, point.path.clone(), text)
}
