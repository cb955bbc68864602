//! Which parts of admission act: upstream's plugins by upstream's names, in upstream's order.

use std::fmt;

/// A part of admission that can be switched on and off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are upstream's, and say what each does")]
pub enum Plugin {
    AlwaysAdmit,
    NamespaceAutoProvision,
    NamespaceLifecycle,
    NamespaceExists,
    LimitPodHardAntiAffinityTopology,
    LimitRanger,
    ServiceAccount,
    NodeRestriction,
    TaintNodesByCondition,
    AlwaysPullImages,
    PodSecurity,
    PodNodeSelector,
    Priority,
    DefaultTolerationSeconds,
    PodTolerationRestriction,
    EventRateLimit,
    ExtendedResourceToleration,
    DefaultStorageClass,
    StorageObjectInUseProtection,
    OwnerReferencesPermissionEnforcement,
    PersistentVolumeClaimResize,
    RuntimeClass,
    CertificateApproval,
    CertificateSigning,
    ClusterTrustBundleAttest,
    CertificateSubjectRestriction,
    DefaultIngressClass,
    DenyServiceExternalIPs,
    PodTopologyLabels,
    MutatingAdmissionPolicy,
    MutatingAdmissionWebhook,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionWebhook,
    ResourceQuota,
    AlwaysDeny,
}

use Plugin as P;

/// All plugins in the order in which they act, and whether they do where nobody said otherwise. Upstream leaves
/// NodeRestriction to be switched on.
const ALL: [(Plugin, bool); 35] = [
    (P::AlwaysAdmit, false),
    (P::NamespaceAutoProvision, false),
    (P::NamespaceLifecycle, true),
    (P::NamespaceExists, false),
    (P::LimitPodHardAntiAffinityTopology, false),
    (P::LimitRanger, true),
    (P::ServiceAccount, true),
    (P::NodeRestriction, true),
    (P::TaintNodesByCondition, true),
    (P::AlwaysPullImages, false),
    (P::PodSecurity, true),
    (P::PodNodeSelector, false),
    (P::Priority, true),
    (P::DefaultTolerationSeconds, true),
    (P::PodTolerationRestriction, false),
    (P::EventRateLimit, false),
    (P::ExtendedResourceToleration, false),
    (P::DefaultStorageClass, true),
    (P::StorageObjectInUseProtection, true),
    (P::OwnerReferencesPermissionEnforcement, false),
    (P::PersistentVolumeClaimResize, true),
    (P::RuntimeClass, true),
    (P::CertificateApproval, true),
    (P::CertificateSigning, true),
    (P::ClusterTrustBundleAttest, true),
    (P::CertificateSubjectRestriction, true),
    (P::DefaultIngressClass, true),
    (P::DenyServiceExternalIPs, false),
    (P::PodTopologyLabels, true),
    (P::MutatingAdmissionPolicy, true),
    (P::MutatingAdmissionWebhook, true),
    (P::ValidatingAdmissionPolicy, true),
    (P::ValidatingAdmissionWebhook, true),
    (P::ResourceQuota, true),
    (P::AlwaysDeny, false),
];

/// Upstream's other plugins: they are not here, and whoever asks for one is told so; to switch one off is no error.
const ABSENT: [&str; 4] =
    ["ImagePolicyWebhook", "NodeDeclaredFeatureValidator", "PodGroupProtection", "PodResizeValidator"];

/// A plugin that is not to act; `None` for one of upstream's that is not here, and so never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disabled(pub Option<Plugin>);

impl std::str::FromStr for Disabled {
    type Err = UnknownPlugin;

    fn from_str(text: &str) -> Result<Self, UnknownPlugin> {
        if ABSENT.contains(&text) { Ok(Disabled(None)) } else { text.parse().map(|plugin| Disabled(Some(plugin))) }
    }
}

/// The plugins that act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plugins(u64);

/// A name that no plugin has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPlugin(String);

impl fmt::Display for UnknownPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<String> = ALL.iter().map(|(plugin, _)| plugin.name()).collect();
        let why =
            if ABSENT.contains(&self.0.as_str()) { "a plugin that is not supported" } else { "no admission plugin" };
        write!(f, "{:?} is {why}; there are {}", self.0, known.join(", "))
    }
}

impl std::error::Error for UnknownPlugin {}

impl Plugin {
    /// The name in flags.
    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

impl std::str::FromStr for Plugin {
    type Err = UnknownPlugin;

    fn from_str(text: &str) -> Result<Self, UnknownPlugin> {
        let named = ALL.iter().find(|(plugin, _)| plugin.name() == text);
        named.map(|(plugin, _)| *plugin).ok_or_else(|| UnknownPlugin(text.to_owned()))
    }
}

impl Default for Plugins {
    fn default() -> Self {
        ALL.iter().filter(|(_, on)| *on).fold(Plugins(0), |all, (plugin, _)| all.with(*plugin))
    }
}

impl Plugins {
    /// These and one more.
    #[must_use]
    pub fn with(self, plugin: Plugin) -> Self {
        Plugins(self.0 | 1 << plugin as u64)
    }

    /// These without one.
    #[must_use]
    pub fn without(self, plugin: Plugin) -> Self {
        Plugins(self.0 & !(1 << plugin as u64))
    }

    /// Whether a plugin acts.
    pub fn has(self, plugin: Plugin) -> bool {
        self.0 & 1 << plugin as u64 != 0
    }

    /// The names of those that act, in the order in which they do.
    pub fn names(self) -> Vec<String> {
        ALL.iter().filter(|(plugin, _)| self.has(*plugin)).map(|(plugin, _)| plugin.name()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_switched_by_name() {
        let usual = Plugins::default();
        assert!(usual.has(P::NamespaceLifecycle) && !usual.has(P::AlwaysPullImages));
        let other = usual.with("AlwaysPullImages".parse().unwrap()).without(P::NamespaceLifecycle);
        assert!(!other.has(P::NamespaceLifecycle) && other.has(P::AlwaysPullImages));
        let names = other.names();
        assert_eq!((names[0].as_str(), names.last().unwrap().as_str()), ("LimitRanger", "ResourceQuota"));
        let unknown = "alwaysPullImages".parse::<Plugin>().unwrap_err().to_string();
        assert!(
            unknown.starts_with("\"alwaysPullImages\" is no admission plugin; there are AlwaysAdmit, "),
            "{unknown}"
        );
        let absent = "ImagePolicyWebhook".parse::<Plugin>().unwrap_err().to_string();
        assert_eq!(
            ["ImagePolicyWebhook", "Priority"].map(|name| name.parse().ok()),
            [None, Some(P::Priority)].map(|p| Some(Disabled(p)))
        );
        assert!("Nonsense".parse::<Disabled>().is_err());
        assert!(absent.starts_with("\"ImagePolicyWebhook\" is a plugin that is not supported; there are "), "{absent}");
    }

    #[test]
    fn every_plugin_has_a_place_of_its_own() {
        for (at, (plugin, _)) in ALL.iter().enumerate() {
            assert_eq!(*plugin as usize, at, "{plugin:?}");
        }
    }
}
