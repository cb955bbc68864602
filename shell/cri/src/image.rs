//! The calls about images.

use crate::limits::{CALL, PULL};
use crate::message::*;
use crate::{CriError, Runtime};

macro_rules! path {
    ($rpc:literal) => {
        concat!("/runtime.v1.ImageService/", $rpc)
    };
}

impl Runtime {
    /// All images.
    pub async fn images(&self) -> Result<Vec<Image>, CriError> {
        let answer: ListImagesResponse = self.socket.call("ListImages", path!("ListImages"), Empty {}, CALL).await?;
        Ok(answer.images)
    }
    /// The image of that name, if it is on this machine.
    pub async fn image(&self, name: &str) -> Result<Option<Image>, CriError> {
        let request = ImageStatusRequest { image: Some(spec(name)), verbose: false };
        let answer: ImageStatusResponse = self.socket.call("ImageStatus", path!("ImageStatus"), request, CALL).await?;
        Ok(answer.image)
    }
    /// Fetches an image; the reference that it can be found under.
    pub async fn pull(
        &self,
        name: &str,
        auth: Option<AuthConfig>,
        sandbox_config: Option<PodSandboxConfig>,
    ) -> Result<String, CriError> {
        let request = PullImageRequest { image: Some(spec(name)), auth, sandbox_config };
        let answer: PullImageResponse = self.socket.call("PullImage", path!("PullImage"), request, PULL).await?;
        Ok(answer.image_ref)
    }
}

/// An image's name as calls carry it.
fn spec(name: &str) -> ImageSpec {
    ImageSpec { image: name.to_owned(), ..ImageSpec::default() }
}
