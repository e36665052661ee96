"""The mathematics of diffusion models: tensors in, tensors out. Knows no file, image or command line.

    files --codec--> x0 --process--> x_t --network--> x0_hat --sampler--> x0 --codec--> files

Time runs from t = 0 (data) to t = 1 (noise). A Gaussian process makes x_t = alpha_t x0 + sigma_t eps; its samplers work
in the coordinates u = x_t / alpha_t and n = sigma_t / alpha_t, in which every schedule is the same.
"""
