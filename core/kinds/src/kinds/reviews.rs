//! The reviews: kinds that are answered and never stored.

use crate::columns;
use crate::row::{Kind, NoStrategy};

/// The row of `SubjectAccessReview`.
pub static SUBJECT_ACCESS_REVIEW: Kind = Kind {
    group: "authorization.k8s.io",
    version: "v1",
    kind: "SubjectAccessReview",
    plural: "subjectaccessreviews",
    singular: "subjectaccessreview",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: &["create"],
    subresources: &[],
    schema: "io.k8s.api.authorization.v1.SubjectAccessReview",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[],
};

/// The row of `SelfSubjectAccessReview`.
pub static SELF_SUBJECT_ACCESS_REVIEW: Kind = Kind {
    group: "authorization.k8s.io",
    version: "v1",
    kind: "SelfSubjectAccessReview",
    plural: "selfsubjectaccessreviews",
    singular: "selfsubjectaccessreview",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: &["create"],
    subresources: &[],
    schema: "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[],
};

/// The row of `LocalSubjectAccessReview`.
pub static LOCAL_SUBJECT_ACCESS_REVIEW: Kind = Kind {
    group: "authorization.k8s.io",
    version: "v1",
    kind: "LocalSubjectAccessReview",
    plural: "localsubjectaccessreviews",
    singular: "localsubjectaccessreview",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: &["create"],
    subresources: &[],
    schema: "io.k8s.api.authorization.v1.LocalSubjectAccessReview",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[],
};

/// The row of `SelfSubjectRulesReview`.
pub static SELF_SUBJECT_RULES_REVIEW: Kind = Kind {
    group: "authorization.k8s.io",
    version: "v1",
    kind: "SelfSubjectRulesReview",
    plural: "selfsubjectrulesreviews",
    singular: "selfsubjectrulesreview",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: &["create"],
    subresources: &[],
    schema: "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[],
};

/// The row of `SelfSubjectReview`.
pub static SELF_SUBJECT_REVIEW: Kind = Kind {
    group: "authentication.k8s.io",
    version: "v1",
    kind: "SelfSubjectReview",
    plural: "selfsubjectreviews",
    singular: "selfsubjectreview",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: &["create"],
    subresources: &[],
    schema: "io.k8s.api.authentication.v1.SelfSubjectReview",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[],
};

/// The row of `TokenReview`.
pub static TOKEN_REVIEW: Kind = Kind {
    group: "authentication.k8s.io",
    version: "v1",
    kind: "TokenReview",
    plural: "tokenreviews",
    singular: "tokenreview",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: &["create"],
    subresources: &[],
    schema: "io.k8s.api.authentication.v1.TokenReview",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[],
};
