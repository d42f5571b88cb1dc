//! What a batch of needs comes to, and the scenes made of what was found. One for both databases.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use hub_domain::plan::kept::KeptPlan;
use hub_domain::plan::run::Run;
use hub_domain::registry::Trouble;
use hub_domain::scene::{Head, Identifier, Needs, Receipt, Scene};
use schemas::plan::Plan;
use schemas::resource::{Key, Resource};
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::errors::corrupt;
use crate::rows::VersionRow;
use crate::{body, values};

/// Each thing once, however many commands ask for it.
#[derive(Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) roots: BTreeSet<Uuid>,
    pub(crate) resources: BTreeSet<&'a Key>,
    pub(crate) existence: BTreeSet<&'a Key>,
    pub(crate) receipts: BTreeSet<&'a str>,
    pub(crate) identifiers: BTreeSet<&'a Identifier>,
}

impl<'a> Wanted<'a> {
    pub(crate) fn of(needs: &'a [Needs]) -> Self {
        let mut wanted = Self::default();
        for need in needs {
            wanted.roots.extend(&need.roots);
            wanted.resources.extend(&need.resources);
            wanted.existence.extend(&need.existence);
            wanted.receipts.extend(need.receipts.iter().map(String::as_str));
            wanted.identifiers.extend(&need.identifiers);
        }
        wanted
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Self { roots, resources, existence, receipts, identifiers } = self;
        let keys = roots.len() + resources.len() + existence.len();
        keys + receipts.len() + identifiers.len() == 0
    }
}

/// What the database had.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) heads: HashMap<Uuid, Head>,
    /// The newest versions, deletions too.
    pub(crate) versions: Vec<VersionRow>,
    pub(crate) existing: HashSet<Key>,
    /// By the key as it is stored.
    pub(crate) receipts: HashMap<String, (String, String)>,
    /// The claim's holder first.
    pub(crate) identified: HashMap<Identifier, Vec<String>>,
}

impl Found {
    /// A row of `head`.
    pub(crate) fn head(&mut self, root: Uuid, version: i64, last: i64, run: Option<&str>) -> Result<(), Trouble> {
        let version = u64::try_from(version).map_err(|_| corrupt("head", root, "negative version"))?;
        let parse = |text| serde_json::from_str(text).map_err(|error: serde_json::Error| corrupt("head", root, error));
        let run: Option<Run> = run.map(parse).transpose()?;
        self.heads.insert(root, Head { version, last: Timestamp(last), run });
        Ok(())
    }

    pub(crate) fn carrier(&mut self, identifier: &Identifier, id: String) {
        let ids = self.identified.entry(identifier.clone()).or_default();
        if !ids.contains(&id) && ids.len() < 2 {
            ids.push(id);
        }
    }

    /// Plans that the heads name and the cache lacks.
    pub(crate) fn missing_plans(&self, cache: &PlanCache) -> Vec<String> {
        let named = self.heads.values().filter_map(|head| head.run.as_ref()?.plan.as_deref());
        named.collect::<BTreeSet<_>>().into_iter().filter(|hash| cache.get(hash).is_none()).map(str::to_owned).collect()
    }

    /// One scene for each need.
    pub(crate) fn scenes(self, needs: &[Needs], plans: &PlanCache) -> Result<Vec<Scene>, Trouble> {
        let mut resources = HashMap::new();
        for row in &self.versions {
            let resource = if row.is_deleted() { None } else { Some(row.resource()?) };
            resources.insert(row.key()?, (row.root, resource));
        }
        Ok(needs.iter().map(|need| self.scene(need, &resources, plans)).collect())
    }

    fn scene(&self, need: &Needs, resources: &HashMap<Key, (Uuid, Option<Resource>)>, plans: &PlanCache) -> Scene {
        let mut scene = Scene::default();
        let mut roots = need.roots.clone();
        for key in &need.resources {
            match resources.get(key) {
                Some((root, Some(resource))) => {
                    roots.push(*root);
                    scene.roots.insert(key.clone(), *root);
                    scene.resources.insert(key.clone(), resource.clone());
                }
                Some((_, None)) => drop(scene.deleted.insert(key.clone())),
                None => {}
            }
        }
        for root in roots {
            if let Some(head) = self.heads.get(&root) {
                let hash = head.run.as_ref().and_then(|run| run.plan.as_ref());
                scene.plans.extend(hash.and_then(|hash| Some((hash.clone(), plans.get(hash)?))));
                scene.heads.insert(root, head.clone());
            }
        }
        scene.existing.extend(need.existence.iter().filter(|key| self.existing.contains(key)).cloned());
        for key in &need.receipts {
            let found = values::key(key).and_then(|stored| self.receipts.get(&*stored));
            if let Some((fingerprint, answer)) = found {
                let (fingerprint, answer) = (fingerprint.clone(), answer.clone());
                scene.receipts.insert(key.clone(), Receipt { key: key.clone(), fingerprint, answer });
            }
        }
        for identifier in &need.identifiers {
            if let Some(ids) = self.identified.get(identifier) {
                scene.identified.insert(identifier.clone(), ids.clone());
            }
        }
        scene
    }
}

/// How many plans are kept parsed. A site has a handful; orchestrations that placers post are plans of their own.
const PLANS_MAX: usize = 1000;

/// Parsed plans by the hash of their content: what is here can never become wrong.
#[derive(Default)]
pub(crate) struct PlanCache(Mutex<HashMap<String, Arc<KeptPlan>>>);

impl PlanCache {
    pub(crate) fn get(&self, hash: &str) -> Option<Arc<KeptPlan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    pub(crate) fn add(&self, hash: String, text: &str) -> Result<(), Trouble> {
        let body = body::parse(text.as_bytes()).map_err(|why| corrupt("plan", &hash, why))?;
        let plan = Plan::parse(&body).map_err(|_| corrupt("plan", &hash, "it is no plan"))?;
        self.keep(hash, Arc::new(KeptPlan::new(plan)));
        Ok(())
    }

    /// Keeps one that the database has.
    pub(crate) fn keep(&self, hash: String, plan: Arc<KeptPlan>) {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= PLANS_MAX && !plans.contains_key(&hash) {
            plans.clear();
        }
        // The one that is here may be bound already.
        plans.entry(hash).or_insert(plan);
    }
}
