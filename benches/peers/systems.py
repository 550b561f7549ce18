"""Systems with a Python interface. Each is created for a job, takes steps and returns its parameters."""

import logging
import os
import time

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
import numba
import numpy as np
import optax
import torch

from job import ALPHA, BETA1, BETA2, EPSILON

jax.config.update("jax_enable_x64", True)
logging.getLogger("torch").setLevel(logging.ERROR)
torch.set_num_threads(1)


class System:
    def time(self, steps):
        """Takes the given number of steps and returns the time in nanoseconds."""
        start = time.perf_counter_ns()
        self.advance(steps)
        return time.perf_counter_ns() - start

    def total(self):
        """Returns the sum of all parameters."""
        return sum(float(np.sum(np.asarray(x), dtype=np.float64)) for x in self.parameters())

    def close(self):
        pass


class Torch(System):
    def __init__(self, job, foreach):
        self.tensors = [torch.tensor(x, requires_grad=True) for x in job.parameters()]
        for tensor, grad in zip(self.tensors, job.gradients()):
            tensor.grad = torch.tensor(grad)
        self.optimizer = torch.optim.Adamax(self.tensors, lr=ALPHA, eps=EPSILON, foreach=foreach)
        self.step = self.optimizer.step

    def advance(self, steps):
        for _ in range(steps):
            self.step()

    def parameters(self):
        return [tensor.detach() for tensor in self.tensors]


class TorchCompiled(Torch):
    def __init__(self, job):
        super().__init__(job, foreach=True)
        torch.compiler.reset()
        self.step = torch.compile(self.optimizer.step)


class Jitted(System):
    """Passes parameters and state to a compiled function that may reuse their memory."""

    def __init__(self, job, state, step):
        self.x = list(map(jax.numpy.asarray, job.parameters()))
        self.g = list(map(jax.numpy.asarray, job.gradients()))
        self.state = state(self.x)
        self.step = jax.jit(step, donate_argnums=(0, 1))

    def advance(self, steps):
        for _ in range(steps):
            self.x, self.state = self.step(self.x, self.state, self.g)
        jax.block_until_ready(self.x)

    def parameters(self):
        return self.x


def optax_jitted(job):
    rule = optax.adamax(ALPHA)

    def step(x, state, g):
        updates, state = rule.update(g, state, x)
        return optax.apply_updates(x, updates), state

    return Jitted(job, rule.init, step)


def keras_jitted(job):
    keras.config.set_floatx(np.dtype(job.dtype).name)
    rule = keras.optimizers.Adamax(learning_rate=ALPHA, epsilon=EPSILON)

    def state(x):
        rule.build([keras.Variable(value) for value in x])
        return [jax.numpy.array(variable.value) for variable in rule.variables]

    return Jitted(job, state, lambda x, state, g: rule.stateless_apply(state, g, x))


class InPlace(System):
    """Steps NumPy arrays in place, one after the other."""

    def __init__(self, job, step):
        self.x, self.g = job.parameters(), job.gradients()
        # Moments, and memory for temporary values.
        self.m, self.u, self.s = ([np.zeros_like(x) for x in self.x] for _ in range(3))
        self.t, self.step = 0, step

    def advance(self, steps):
        for _ in range(steps):
            self.t += 1
            step_size = self.x[0].dtype.type(ALPHA / (1 - BETA1**self.t))
            for arrays in zip(self.x, self.g, self.m, self.u, self.s):
                self.step(*arrays, step_size)

    def parameters(self):
        return self.x


def numpy_step(x, g, m, u, s, step_size):
    m *= BETA1
    np.multiply(g, 1 - BETA1, out=s)
    m += s
    u *= BETA2
    np.abs(g, out=s)
    np.maximum(u, s, out=u)
    np.add(u, EPSILON, out=s)
    np.divide(m, s, out=s)
    s *= step_size
    x -= s


@numba.njit
def fused(x, g, m, u, constants):
    step_size, beta1, one_minus_beta1, beta2, epsilon = constants
    for i in range(x.size):
        first = beta1 * m[i] + one_minus_beta1 * g[i]
        norm = max(beta2 * u[i], abs(g[i]))
        m[i] = first
        u[i] = norm
        x[i] -= step_size * first / (norm + epsilon)


def numba_step(x, g, m, u, _, step_size):
    # All constants have the precision of the arrays; otherwise numba would compute in f64.
    real = x.dtype.type
    constants = (step_size, real(BETA1), real(1 - BETA1), real(BETA2), real(EPSILON))
    fused(x, g, m, u, constants)


def versions():
    modules = [torch, optax, keras, jax, numba, np]
    return ", ".join(f"{module.__name__} {module.__version__}" for module in modules)


def python_systems(job):
    """Returns the systems that can do the job, by name."""
    systems = {
        "PyTorch, single tensor": lambda job: Torch(job, foreach=False),
        "PyTorch, foreach": lambda job: Torch(job, foreach=True),
        "PyTorch, compiled": TorchCompiled,
        "optax, jit, donated": optax_jitted,
        "Keras on JAX, jit, donated": keras_jitted,
        "numba, fused by hand": lambda job: InPlace(job, numba_step),
        "numpy, in place": lambda job: InPlace(job, numpy_step),
    }
    if job.count > 1:
        # Compiling a step of a thousand tensors takes minutes.
        del systems["PyTorch, compiled"]
    return systems
