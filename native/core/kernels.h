#pragma once
#include <cstddef>
#include <cstdint>

#include "format.h"

namespace troupe {

/** Memory that will be read soon: fetched a few lines at a time between the blocks of a product, which would otherwise wait for it later. */
struct Ahead {
  struct Span {
    const char* at;
    const char* end;
  };
  Span* spans;
  int count;
  /** Cache lines to ask for at each block of 32 inputs. */
  int lines;
};

/** Some tiles of one part of a block's weights, one after the other. */
struct TileRun {
  const void* w;
  const uint16_t* d;
  const uint16_t* m;
  int inputs;
  int tiles;
};

/** At most `GROUP` rows as products read them: what the weights' format needs is filled in. */
struct RowGroup {
  int rows;
  /** Quantised weights: `[blocks][rows][32]`, and `[blocks][rows]` each: scale, scale · Σq, and −128 · Σq. */
  const int8_t* q;
  const float* scale;
  const float* offset;
  const int32_t* zero;
  /** f32 and bf16 weights: `[inputs][rows]`. */
  const float* x;
};

/** The same, to be written; `row` of the group. */
struct RowGroupOut {
  int rows;
  int8_t* q;
  float* scale;
  float* offset;
  int32_t* zero;
};

/** The up products of a branch for some tiles and rows. */
struct UpRun {
  /** `[tiles][rank][16]` in the branch's format. */
  const void* up;
  int rank, tiles;
  int rows;
  /** Per row `[rank]`, and the sums of its first tile; those of the next are `stride` floats further on. */
  const float* const* xa;
  float* const* sums;
  size_t stride;
};

struct Candidate {
  float value;
  int32_t id;
};

/**
 * What an instruction set computes. All sets give the same bits: every sum has one order, said here, and multiply-adds are fused everywhere.
 * Sums of a row do not depend on how many rows, tiles or ranks a call has.
 */
struct Kernels {
  const char* name;

  /**
   * out `[tiles][rows][16]` = weights · rows. Quantised: block after block `s += m · offset; s += float(Σ q · x) · (d · scale)`; others: input after input.
   * By `Format`. `ahead` may be null.
   */
  void (*product[4])(const TileRun&, const RowGroup&, float* out, Ahead* ahead);

  /** Row `row` of the group = `x` in int8 per block of 32, scale = max/127. */
  void (*quantise)(const float* x, int inputs, const RowGroupOut&, int row);

  /** out[row · stride + r] = Σ x[row][k] · down[r][k]: 16 partial sums by k mod 16, then halves added. By `Format` f32 or bf16. */
  void (*down[2])(const float* const* x, int rows, const void* down, int ranks, int inputs, float* out, size_t stride);

  /** sums += Σ xa[r] · up[r], rank after rank. By `Format` f32 or bf16. */
  void (*up[2])(const UpRun&);

  /** y[i] = φ(x[i]); may be in place. */
  void (*activate)(Activation, const float* x, float* y, size_t count);
  /** y[i] = φ(gate[i]) · up[i]. */
  void (*gated)(Activation, const float* gate, const float* up, float* y, size_t count);
  /** y[i] = a[i] + b[i]; may be in place. */
  void (*add)(const float* a, const float* b, float* y, size_t count);
  /** y[i] = a[i] · b[i]; may be in place. */
  void (*multiply)(const float* a, const float* b, float* y, size_t count);

  /** y = x / √(mean x² + ε) · weight; `weight` may be null. May be in place. */
  void (*rms_norm)(const float* x, const float* weight, float epsilon, float* y, size_t count);
  /** y = (x − mean) / √(variance + ε) · weight + bias; `weight`, `bias` may be null. May be in place. */
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float epsilon, float* y, size_t count);

  /** f32 of `count` bf16 or f16 numbers. */
  void (*widen_bf16)(const uint16_t* x, float* y, size_t count);
  void (*widen_f16)(const uint16_t* x, float* y, size_t count);
  /** Nearest, ties to even. */
  void (*narrow_bf16)(const float* x, uint16_t* y, size_t count);

  /**
   * The lowest index of the largest value whose bit in `mask` is set (bit i of word i / 32; null: all); −1 when there is none.
   * NaN never wins.
   */
  int32_t (*argmax)(const float* x, const uint32_t* mask, size_t count);
  /** log Σ exp(x[i]) over the same; −∞ when there is none. */
  double (*log_sum_exp)(const float* x, const uint32_t* mask, size_t count);
  /** Up to `k` largest of the same, largest first, at equal values by index; returns how many. */
  size_t (*largest)(const float* x, const uint32_t* mask, size_t count, size_t k, Candidate* out);
};

/**
 * The kernels for this machine, chosen once: avx512, avx2-vnni, avx2; neon-i8mm, neon-dotprod, neon; plain. `TROUPE_KERNELS` forces one.
 * Throws `std::runtime_error` with the names that would work when that is unknown or the machine lacks it.
 */
const Kernels& kernels();

/** Takes another set from now on: for tests and measurements, while nothing runs. */
void use_kernels(const Kernels& set);

/** All that this build carries and the machine can run, best first; the last is the plain one, which the others are tested against. */
const Kernels* const* available_kernels(size_t* count);

}  // namespace troupe
