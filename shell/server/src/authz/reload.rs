//! Looks at the file of authorizers again and again, and takes what changed.

use std::sync::{Arc, Weak};

use gantry_policy::{Authorizer, Chain};
use tokio_util::sync::CancellationToken;

use super::Authorization;
use crate::app::App;
use crate::limits::AUTHORIZATION_POLL;

/// Takes changes of the file until the server stops. A file that cannot be taken changes nothing.
pub(crate) async fn keep(app: Weak<App>, authorization: Authorization, stop: CancellationToken) {
    let Some((path, mut taken)) = authorization.file else { return };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AUTHORIZATION_POLL) => {}
        }
        let Some(app) = app.upgrade() else { return };
        let text = match tokio::fs::read_to_string(&path).await {
            Ok(text) if text == taken => continue,
            Ok(text) => text,
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "the authorization config cannot be read; the old one stays");
                app.authorizers.counts.reloaded(false);
                continue;
            }
        };
        match take(&app, &text) {
            Ok(()) => tracing::info!(path = %path.display(), "the authorization config was reloaded"),
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "the authorization config is bad; the old one stays");
            }
        }
        // What was refused once is not looked at again until it changes.
        taken = text;
    }
}

fn take(app: &Arc<App>, text: &str) -> Result<(), String> {
    let outcome = Authorization::of_text(text).and_then(|new| {
        let (before, after) = (standing(&app.cluster.authorizers()), standing(&new.chain));
        if before == after {
            Ok(new)
        } else {
            Err(format!("authorizers: Forbidden: types {before:?} cannot change to {after:?} while the server runs"))
        }
    });
    app.authorizers.counts.reloaded(outcome.is_ok());
    let new = outcome?;
    *app.authorizers.outside.write() = new.outside;
    app.cluster.set_authorizers(new.chain);
    Ok(())
}

/// Which of the authorizers that last as long as the server there are: nodes and roles.
fn standing(chain: &Chain) -> Vec<&'static str> {
    let mut types: Vec<_> = chain
        .links()
        .iter()
        .filter_map(|link| match link.authorizer {
            Authorizer::Node => Some("Node"),
            Authorizer::Rbac => Some("RBAC"),
            _ => None,
        })
        .collect();
    types.sort_unstable();
    types
}
