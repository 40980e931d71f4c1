//! What every model writes alike. A model has the fields `classifier` (its last linear layer),
//! `stages` and `config`, which has `classes` and `channels`.

/// The methods of [`Classifier`](crate::Classifier) that only look at these fields.
macro_rules! classifier {
    () => {
        fn stages(&self) -> &[crate::classifier::Stage] {
            &self.stages
        }

        fn reset_classifier(mut self, classes: usize) -> crate::error::Result<Self> {
            model_utils::config::at_least("classes", classes, 1)?;
            self.config.classes = classes;
            self.classifier = crate::layers::replacing(&self.classifier, classes);
            Ok(self)
        }

        fn classes(&self) -> usize {
            self.config.classes
        }

        fn channels(&self) -> usize {
            self.config.channels
        }
    };
}

/// All of [`Stored`](model_utils::weights::Stored) but for the names: the configuration's type and
/// the model's name.
macro_rules! stored {
    ($config:ty, $model:literal) => {
        type Config = $config;
        type Error = crate::error::Error;
        const CRATE: &'static str = env!("CARGO_PKG_NAME");
        const MODEL: &'static str = $model;

        fn config(&self) -> &$config {
            &self.config
        }

        fn from_config(
            config: &$config,
            device: &burn::tensor::Device,
        ) -> crate::error::Result<Self> {
            config.init(device)
        }
    };
}

pub(crate) use {classifier, stored};
