//! URLs that name the model, as Azure's do: `.../openai/deployments/<deployment>/chat/completions`.

use std::collections::HashMap;

use crate::model::ModelId;

/// Which deployment serves which model.
#[derive(Debug, Clone, Default)]
pub(super) struct Deployments {
    by_model: HashMap<ModelId, String>,
}

impl Deployments {
    pub(super) fn insert(&mut self, model: ModelId, deployment: String) {
        self.by_model.insert(model, deployment);
    }

    /// Whether a URL names its deployment, so that a model in the body means nothing.
    pub(super) fn are_named_by(url: &reqwest::Url) -> bool {
        segment(url).is_some()
    }

    /// Whether a model has a deployment.
    pub(super) fn have(&self, model: &ModelId) -> bool {
        self.by_model.contains_key(model)
    }

    /// Returns the URL with the deployment of another model; `None` if the model has none.
    pub(super) fn url_for(&self, url: &reqwest::Url, model: &ModelId) -> Option<reqwest::Url> {
        let (deployment, at) = (self.by_model.get(model)?, segment(url)?);
        let mut changed = url.clone();
        changed.path_segments_mut().ok()?.clear().push(deployment);
        // The others are encoded already.
        let encoded = changed.path().strip_prefix('/')?.to_owned();
        let mut segments: Vec<&str> = url.path_segments()?.collect();
        *segments.get_mut(at)? = &encoded;
        changed.set_path(&segments.join("/"));
        Some(changed)
    }
}

/// Returns the place of the deployment's name among the path's segments.
fn segment(url: &reqwest::Url) -> Option<usize> {
    let at = url
        .path_segments()?
        .position(|segment| segment == "deployments")?;
    url.path_segments()?
        .nth(at + 1)
        .filter(|name| !name.is_empty())
        .map(|_| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_models_deployment_takes_the_place_in_the_url() {
        let url: reqwest::Url = "https://x.example/openai/deployments/prod-4o/chat/completions?api-version=1"
            .parse()
            .unwrap();
        let mut deployments = Deployments::default();
        deployments.insert("gpt-4o-mini".into(), "small one".into());
        assert!(Deployments::are_named_by(&url));
        let changed = deployments.url_for(&url, &"gpt-4o-mini".into()).unwrap();
        assert_eq!(
            changed.as_str(),
            "https://x.example/openai/deployments/small%20one/chat/completions?api-version=1"
        );
        let behind: reqwest::Url = "https://x.example/my%20gw/openai/deployments/a%2Fb/chat/completions"
            .parse()
            .unwrap();
        let changed = deployments.url_for(&behind, &"gpt-4o-mini".into()).unwrap();
        assert_eq!(
            changed.as_str(),
            "https://x.example/my%20gw/openai/deployments/small%20one/chat/completions"
        );
        assert_eq!(deployments.url_for(&url, &"o3".into()), None);
        assert!(!Deployments::are_named_by(
            &"https://x.example/v1/deployments/".parse().unwrap()
        ));
    }
}
