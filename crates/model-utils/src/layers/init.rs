use burn::nn::Initializer;

/// He et al. 2015 for layers followed by ReLU: normal with variance 2 / fan-in.
pub fn he_normal() -> Initializer {
    Initializer::KaimingNormal { gain: 2_f64.sqrt(), fan_out_only: false }
}

/// Normal with mean 0, as DCGAN (0.02) and the heads of torchvision's models (0.01) ask.
pub fn normal(std: f64) -> Initializer {
    Initializer::Normal { mean: 0.0, std }
}
