/* The fused loop that a careful C programmer would write, answering as benches/peer.rs does.
   Compiled with -DREAL=double or -DREAL=float; arguments: LENGTH COUNT. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct tensor { REAL *x, *g, *m, *u; };

static void step(REAL *restrict x, const REAL *restrict g, REAL *restrict m, REAL *restrict u,
                 size_t n, REAL step_size, REAL beta1, REAL one_minus_beta1, REAL beta2,
                 REAL epsilon) {
    for (size_t i = 0; i < n; i++) {
        REAL magnitude = g[i] < 0 ? -g[i] : g[i], decayed = beta2 * u[i];
        REAL first = beta1 * m[i] + one_minus_beta1 * g[i];
        REAL norm = decayed > magnitude ? decayed : magnitude;
        m[i] = first;
        u[i] = norm;
        x[i] -= step_size * first / (norm + epsilon);
    }
}

static REAL *filled(size_t n, unsigned *residue, unsigned increment, unsigned modulus) {
    REAL *values = malloc(n * sizeof *values);
    if (!values) abort();
    for (size_t i = 0; i < n; i++) {
        values[i] = (REAL)((double)*residue / modulus - 0.5);
        *residue = (*residue + increment) % modulus;
    }
    return values;
}

static REAL *zeros(size_t n) {
    REAL *values = calloc(n, sizeof *values);
    if (!values) abort();
    return values;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    size_t n = strtoull(argv[1], 0, 10), count = strtoull(argv[2], 0, 10);
    struct tensor *tensors = malloc(count * sizeof *tensors);
    if (!tensors) return 1;
    unsigned x = 0, g = 0;
    for (size_t k = 0; k < count; k++)
        tensors[k] = (struct tensor){filled(n, &x, 271, 1009), filled(n, &g, 733, 1013), zeros(n),
                                     zeros(n)};
    unsigned long steps, t = 0;
    while (scanf("%lu", &steps) == 1) {
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (unsigned long i = 0; i < steps; i++) {
            t++;
            for (size_t k = 0; k < count; k++) {
                struct tensor *a = &tensors[k];
                REAL step_size = (REAL)(0.002 / (1.0 - pow(0.9, (double)t)));
                step(a->x, a->g, a->m, a->u, n, step_size, 0.9, 1.0 - 0.9, 0.999, 1e-8);
            }
        }
        clock_gettime(CLOCK_MONOTONIC, &to);
        double sum = 0;
        for (size_t k = 0; k < count; k++)
            for (size_t i = 0; i < n; i++) sum += (double)tensors[k].x[i];
        long long ns = (to.tv_sec - from.tv_sec) * 1000000000LL + (to.tv_nsec - from.tv_nsec);
        printf("%lld %.17g\n", ns, sum);
        fflush(stdout);
    }
    return 0;
}
