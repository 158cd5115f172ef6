#pragma once
#include <cstdint>

#include "../linear/linear.h"

namespace troupe {

/**
 * Packs up to 16 rows of f32 weights into one tile of format f32 or bf16; rows that are missing become zeros.
 *
 * @param rows `[count][inputs]`
 * @param tile `tile_bytes(format, inputs)` bytes
 */
void pack_floats(Format format, const float* rows, int count, int inputs, void* tile);

/**
 * Packs up to 16 rows of f32 weights into one tile of format q8: per block of 32, scale = max/127 rounded to f16, then the nearest values.
 *
 * @param d `tile_scales(inputs)` f16 numbers
 */
void pack_q8(const float* rows, int count, int inputs, void* tile, uint16_t* d);

/**
 * Packs up to 16 rows that are quantised already.
 *
 * @param q `[count][inputs]`, values −127 … 127
 * @param scales f16 `[count][blocks]`
 */
void pack_quantised_q8(const int8_t* q, const uint16_t* scales, int count, int inputs, void* tile, uint16_t* d);

/**
 * @param q `[count][inputs]`, values 0 … 15
 * @param scales, minima f16 `[count][blocks]` of w = scale · q + minimum
 */
void pack_quantised_q4(const uint8_t* q, const uint16_t* scales, const uint16_t* minima, int count, int inputs, void* tile, uint16_t* d,
                       uint16_t* m);

/** The f32 weights `[inDim]` of one output of a part, columns in stored order: what embedding lookups and tests read. */
void unpack_row(const LinearWeights& weights, int part, int output, float* row);

}  // namespace troupe
