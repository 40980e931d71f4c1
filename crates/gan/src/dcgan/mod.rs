//! DCGAN (Radford, Metz and Chintala 2015, <https://arxiv.org/abs/1511.06434>): its rules are the
//! defaults of [`DcganConfig`], and each can be broken to see what it was for.

mod config;
mod discriminator;
mod generator;

use burn::module::Module as _;
use burn::tensor::Device;
use model_utils::config::require;

use crate::error::Result;
use crate::player::Networks;
use crate::spectral::Spectral;

pub use config::DcganConfig;
pub use discriminator::DcganDiscriminator;
pub use generator::DcganGenerator;

impl Networks<4> for DcganConfig {
    type Generator = DcganGenerator;
    type Discriminator = DcganDiscriminator;

    fn init(
        &self,
        packing: usize,
        device: &Device,
    ) -> Result<(DcganGenerator, DcganDiscriminator)> {
        let fits = packing == 1 || self.classes == 0;
        require(fits, "packing", packing, "1 where classes are asked for")?;
        let generator = DcganGenerator::new(self, device)?;
        let discriminator = DcganDiscriminator::new(self, packing, device)?;
        let discriminator = if self.spectral_norm {
            discriminator.apply_reparameterization(Spectral::new())
        } else {
            discriminator
        };
        Ok((generator, discriminator))
    }
}
