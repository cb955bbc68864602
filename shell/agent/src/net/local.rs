//! Where the pods of this node really are: slices that were told before a pod was made anew name an address that it
//! has no more, and while no server answers nobody corrects them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::watch;

/// The addresses of this node's pods, by uid.
pub type Addresses = BTreeMap<String, Ipv4Addr>;

type Id = (String, String);

/// The slices that name pods of this node, as they were told.
pub(super) struct Local {
    node: String,
    addresses: watch::Receiver<Addresses>,
    slices: BTreeMap<Id, EndpointSlice>,
}

impl Local {
    pub(super) fn new(node: &str, addresses: watch::Receiver<Addresses>) -> Self {
        Local { node: node.to_owned(), addresses, slices: BTreeMap::new() }
    }

    /// Takes note of a slice; the slice as it is.
    pub(super) fn take(&mut self, id: &Id, slice: Option<EndpointSlice>) -> Option<EndpointSlice> {
        self.slices.remove(id);
        let slice = slice?;
        let mut endpoints = slice.endpoints.iter().flatten();
        if !endpoints.any(|endpoint| endpoint.node_name.as_ref() == Some(&self.node)) {
            return Some(slice);
        }
        let correct = self.correct(slice.clone());
        self.slices.insert(id.clone(), slice);
        Some(correct)
    }

    /// Waits until the address of a pod has changed; the slices as they are then.
    pub(super) async fn changed(&mut self) -> Vec<(Id, EndpointSlice)> {
        if self.addresses.changed().await.is_err() {
            return std::future::pending().await;
        }
        self.slices.iter().map(|(id, slice)| (id.clone(), self.correct(slice.clone()))).collect()
    }

    fn correct(&self, mut slice: EndpointSlice) -> EndpointSlice {
        let addresses = self.addresses.borrow();
        let endpoints = slice.endpoints.iter_mut().flatten();
        for endpoint in endpoints.filter(|endpoint| endpoint.node_name.as_ref() == Some(&self.node)) {
            let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_ref());
            if let Some(address) = uid.and_then(|uid| addresses.get(uid)) {
                endpoint.addresses = vec![address.to_string()];
            }
        }
        slice
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn f11_slices_follow_the_pods_of_this_node() {
        let (told, addresses) = watch::channel(Addresses::new());
        let mut local = Local::new("here", addresses);
        let endpoint = |uid: &str, node: &str, ip: &str| json!({"addresses": [ip], "nodeName": node, "targetRef": {"kind": "Pod", "uid": uid}});
        let slice: EndpointSlice = serde_json::from_value(json!({
            "addressType": "IPv4",
            "endpoints": [endpoint("a", "here", "10.42.0.1"), endpoint("b", "there", "10.42.1.1")],
        }))
        .unwrap();
        let read = |slice: &EndpointSlice| {
            slice.endpoints.iter().flatten().map(|e| e.addresses[0].clone()).collect::<Vec<_>>()
        };
        let id = ("n".to_owned(), "s".to_owned());
        assert_eq!(read(&local.take(&id, Some(slice.clone())).unwrap()), ["10.42.0.1", "10.42.1.1"]);
        let moved = [("a", [10, 42, 0, 9]), ("b", [10, 42, 0, 8])];
        told.send_replace(moved.map(|(uid, ip)| (uid.to_owned(), Ipv4Addr::from(ip))).into());
        let changed = local.changed().await;
        assert_eq!(changed.len(), 1);
        assert_eq!(read(&changed[0].1), ["10.42.0.9", "10.42.1.1"], "pods of other nodes are theirs to tell");
        assert_eq!(read(&local.take(&id, Some(slice)).unwrap()), ["10.42.0.9", "10.42.1.1"]);
        assert!(local.take(&id, None).is_none());
        told.send_replace(Addresses::new());
        assert!(local.changed().await.is_empty());
    }
}
