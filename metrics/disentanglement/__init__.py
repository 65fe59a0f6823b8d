"""How well the codes of a representation separate the factors that made the images.

Codes are (samples, K) numbers, factors (samples, F) discrete values; the settings of Locatello et
al., "Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations"
(arXiv 1811.12359), whose library is the reference of every metric here, are the defaults.

Each metric takes plain arrays. Where there is a dataset whose every combination of factors can be
represented, ``sampling.GridSampler`` draws them in the reference's order:

    sampler = GridSampler(dataset.factor_sizes, represent)  # factors (N, F) -> codes (N, K)
    train, test = sampler.train_and_test()
    mig(*train), dci(*train, *test), sap(*train, *test), modularity(*train)
    factor_vae_metric(sampler), beta_vae_metric(sampler)

``sampling.TableSampler`` draws from arrays for the two metrics that hold a factor fixed, and
``sampling.split`` cuts arrays into a training and a test part.
"""
