/* fisherdiag for C, and for everything that calls C (Python's ctypes: docs/accumulator.md).
 *
 * Functions return 0, or -1 on an error whose sentence fisherdiag_error() then gives. Arrays are float32, row-major,
 * and only read during the call. Nothing prints, exits or aborts. An accumulator is used by one thread at a time; it
 * runs on threads of its own. */
#ifndef FISHERDIAG_H
#define FISHERDIAG_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define FISHERDIAG_API __declspec(dllexport)
#else
#define FISHERDIAG_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fisherdiag_accumulator fisherdiag_accumulator;

/* Version of the library, as "0.1.0". */
FISHERDIAG_API const char* fisherdiag_version(void);

/* The sentence of this thread's last error; "" if there was none. Valid until its next call. */
FISHERDIAG_API const char* fisherdiag_error(void);

/* A new accumulator on `threads` threads (0: what affinity and CPU quota give); NULL on an error. */
FISHERDIAG_API fisherdiag_accumulator* fisherdiag_accumulator_new(int threads);

/* Frees it; NULL is allowed. */
FISHERDIAG_API void fisherdiag_accumulator_free(fisherdiag_accumulator* accumulator);

/* Declares y = W x + b: parameters NAME.weight [outputs, inputs] and, if `bias` is not 0, NAME.bias [outputs].
 * Returns the layer's number >= 0, or -1. */
FISHERDIAG_API int64_t fisherdiag_accumulator_linear(fisherdiag_accumulator* accumulator, const char* name,
                                                     size_t inputs, size_t outputs, int bias);

/* Declares a parameter whose per-sample gradients the caller gives. Returns its number >= 0, or -1. */
FISHERDIAG_API int64_t fisherdiag_accumulator_parameter(fisherdiag_accumulator* accumulator, const char* name,
                                                        const size_t* shape, size_t dimensions);

/* Adds `samples` samples of a linear layer: its inputs [samples, positions, inputs] and the sensitivities
 * [samples, positions, outputs], the gradient of the SUM of the samples' losses by the layer's output. With positions
 * above 1 a sample's gradient is summed over them before it is squared. If `same_samples` is not 0 these are another
 * seed of the samples added before, which are not counted again (estimators with several seeds). */
FISHERDIAG_API int fisherdiag_accumulator_add_linear(fisherdiag_accumulator* accumulator, int64_t layer,
                                                     const float* inputs, const float* sensitivities, size_t samples,
                                                     size_t positions, int same_samples);

/* Adds per-sample gradients [samples, elements] of a declared parameter. */
FISHERDIAG_API int fisherdiag_accumulator_add_gradients(fisherdiag_accumulator* accumulator, int64_t parameter,
                                                        const float* gradients, size_t samples);

/* Writes the diagonal of what was added so far to `path`, a safetensors file with the declared names and shapes, as
 * `fisherdiag compute` does. estimator: "empirical", "exact", "mc", "sketch" or "predicted", what the seeds were;
 * normalization: "mean" or "sum"; data: how the samples are called in the metadata. */
FISHERDIAG_API int fisherdiag_accumulator_save(fisherdiag_accumulator* accumulator, const char* path,
                                               const char* estimator, const char* normalization, const char* data);

#ifdef __cplusplus
}
#endif

#endif
