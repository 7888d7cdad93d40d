//! Plan of an import, made before anything is written: the stores that it would create, and the findings.

use std::collections::BTreeMap;

use crate::kv::{InvalidName, StoreName};

use super::{
    error::{Error, Result},
    naming::Naming,
    report::{Finding, Report},
    source::{Contents, Size, Source, SourceStore},
};

/// Stores that an import creates or extends, and findings about the source.
#[derive(Debug)]
pub struct Plan {
    /// The stores, each with its target name.
    pub stores: Vec<SourceStore>,
    /// Findings so far.
    pub report: Report,
}

impl Plan {
    /// Examines a source. `name` is the name for its only store; `naming` is the treatment of names that the server
    /// rejects.
    pub fn new(source: &dyn Source, name: Option<&str>, naming: Naming) -> Result<Self> {
        let Contents { mut stores, report } = source.contents()?;
        if let Some(name) = name {
            let [store] = stores.as_mut_slice() else {
                return Err(Error::Unusable(format!("there are {} stores, which cannot all be {name}", stores.len())));
            };
            name.parse::<StoreName>().map_err(|error| Error::Unusable(format!("{name:?}: {error}")))?;
            store.sheet.name = Some(name.to_owned());
        }
        let mut plan = Self { stores: Vec::new(), report };
        plan.add(stores, naming);
        Ok(plan)
    }

    /// Returns the number and size of all records.
    pub fn size(&self) -> Size {
        self.stores.iter().map(|store| store.size).sum()
    }

    /// Adds the stores with allowed names, and then those that are mapped to names that are still free.
    fn add(&mut self, stores: Vec<SourceStore>, naming: Naming) {
        let mut names = BTreeMap::new();
        let mut refused = Vec::new();
        for store in stores {
            match store.sheet.name.as_deref().map(str::parse::<StoreName>) {
                None => self.stores.push(store),
                Some(Ok(name)) => self.give(store, &name, &mut names),
                Some(Err(error)) => refused.push((store, error)),
            }
        }
        for (store, error) in refused {
            self.map(store, error, naming, &mut names);
        }
        self.stores.sort_by(|one, other| one.id.cmp(&other.id));
    }

    fn map(&mut self, store: SourceStore, error: InvalidName, naming: Naming, names: &mut BTreeMap<String, String>) {
        let own = store.sheet.name.clone().unwrap_or_default();
        if let Some(name) = naming.store(&own) {
            let note = format!("its name {own} is refused: imported as {name}");
            self.report.note(Finding::new(store.place.as_str(), note));
            self.give(store, &name, names);
        } else {
            let hint = Naming::Map.store(&own).filter(|_| naming == Naming::Keep);
            let hint = hint.map_or_else(String::new, |name| format!(" (--map-names imports it as {name})"));
            let reason = format!("its name {own} is refused: {error}{hint}");
            self.report.leave_out(Finding::new(store.place, reason));
        }
    }

    /// Adds a store, unless another already has its name: their records would be mixed.
    fn give(&mut self, mut store: SourceStore, name: &StoreName, names: &mut BTreeMap<String, String>) {
        if let Some(other) = names.get(&name.folded()) {
            self.report.leave_out(Finding::new(store.place, format!("its name {name} is also that of {other}")));
            return;
        }
        names.insert(name.folded(), store.place.clone());
        store.sheet.name = Some(name.to_string());
        self.stores.push(store);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::record::StoreSheet;

    fn planned(names: &[&str], naming: Naming) -> Plan {
        let store = |name: &&str| SourceStore {
            id: (*name).to_owned(),
            place: format!("/s/{name}"),
            sheet: StoreSheet { name: Some((*name).to_owned()), ..StoreSheet::default() },
            size: Size::default(),
        };
        let mut plan = Plan { stores: Vec::new(), report: Report::default() };
        plan.add(names.iter().map(store).collect(), naming);
        plan
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.stores.iter().filter_map(|store| store.sheet.name.as_deref()).collect()
    }

    #[test]
    fn a_name_that_is_refused_leaves_the_other_stores() {
        let plan = planned(&["a", "my_store", "z"], Naming::Keep);
        assert_eq!(names(&plan), ["a", "z"]);
        let finding = plan.report.left_out.first().expect("it is reported").to_string();
        assert!(finding.starts_with("/s/my_store: ") && finding.contains("imports it as my-store"), "{finding}");
    }

    #[test]
    fn a_mapped_name_is_never_that_of_another_store() {
        let plan = planned(&["My_store", "a_b", "a.b", "my-store"], Naming::Map);
        assert_eq!(names(&plan), ["a-b", "my-store"]);
        assert_eq!(plan.report.left_out.len(), 2, "{:?}", plan.report);
    }
}
