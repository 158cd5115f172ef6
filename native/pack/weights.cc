#include "weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../core/numbers.h"

namespace troupe {

namespace {

/** Where the byte of an input is in a tile; q4 has quads 4 to 7 of a block in the high nibbles of 0 to 3. */
size_t place(bool q4, int output, int input) {
  const int block = input / BLOCK, quad = input % BLOCK / 4;
  return (size_t(block) * (q4 ? 4 : 8) + (q4 ? quad % 4 : quad)) * 64 + output * 4 + input % 4;
}

bool is_high(int input) { return input % BLOCK >= 16; }

size_t scale_place(int output, int block) { return size_t(block) * TILE + output; }

}  // namespace

void pack_floats(Format format, const float* rows, int count, int inputs, void* tile) {
  memset(tile, 0, tile_bytes(format, inputs));
  for (int output = 0; output < count; output++)
    for (int k = 0; k < inputs; k++) {
      const float value = rows[size_t(output) * inputs + k];
      const size_t at = size_t(k) * TILE + output;
      if (format == Format::bf16) static_cast<uint16_t*>(tile)[at] = to_bf16(value);
      else static_cast<float*>(tile)[at] = value;
    }
}

void pack_quantised_q8(const int8_t* q, const uint16_t* scales, int count, int inputs, void* tile, uint16_t* d) {
  uint8_t* bytes = static_cast<uint8_t*>(tile);
  const int blocks = blocks_of(inputs);
  memset(bytes, 128, tile_bytes(Format::q8, inputs));
  memset(d, 0, tile_scales(inputs) * 2);
  for (int output = 0; output < count; output++) {
    for (int k = 0; k < inputs; k++) bytes[place(false, output, k)] = uint8_t(q[size_t(output) * inputs + k] + 128);
    for (int block = 0; block < blocks; block++) d[scale_place(output, block)] = scales[size_t(output) * blocks + block];
  }
}

void pack_q8(const float* rows, int count, int inputs, void* tile, uint16_t* d) {
  uint8_t* bytes = static_cast<uint8_t*>(tile);
  memset(bytes, 128, tile_bytes(Format::q8, inputs));
  memset(d, 0, tile_scales(inputs) * 2);
  for (int output = 0; output < count; output++)
    for (int block = 0; block < blocks_of(inputs); block++) {
      const float* row = rows + size_t(output) * inputs;
      const int first = block * BLOCK, end = std::min(first + BLOCK, inputs);
      float peak = 0;
      for (int k = first; k < end; k++) peak = std::max(peak, std::fabs(row[k]));
      const uint16_t scale = to_f16(peak / 127);
      const float step = from_f16(scale);
      d[scale_place(output, block)] = scale;
      if (!(step > 0)) continue;
      for (int k = first; k < end; k++) {
        const float nearest = std::nearbyint(row[k] / step);
        bytes[place(false, output, k)] = uint8_t(int(std::clamp(nearest, -127.0f, 127.0f)) + 128);
      }
    }
}

void pack_quantised_q4(const uint8_t* q, const uint16_t* scales, const uint16_t* minima, int count, int inputs, void* tile, uint16_t* d,
                       uint16_t* m) {
  uint8_t* bytes = static_cast<uint8_t*>(tile);
  const int blocks = blocks_of(inputs);
  memset(bytes, 0, tile_bytes(Format::q4, inputs));
  memset(d, 0, tile_scales(inputs) * 2);
  memset(m, 0, tile_scales(inputs) * 2);
  for (int output = 0; output < count; output++) {
    for (int k = 0; k < inputs; k++)
      bytes[place(true, output, k)] |= uint8_t(q[size_t(output) * inputs + k] << (is_high(k) ? 4 : 0));
    for (int block = 0; block < blocks; block++) {
      d[scale_place(output, block)] = scales[size_t(output) * blocks + block];
      m[scale_place(output, block)] = minima[size_t(output) * blocks + block];
    }
  }
}

void unpack_row(const LinearWeights& weights, int part, int output, float* row) {
  const int inputs = weights.inDim;
  const size_t index = size_t(weights.part[part].firstTile) + output / TILE;
  const int lane = output % TILE;
  const char* tile = static_cast<const char*>(weights.w) + index * tile_bytes(weights.format, inputs);
  for (int k = 0; k < inputs; k++) {
    const size_t at = size_t(k) * TILE + lane;
    if (weights.format == Format::f32) {
      row[k] = reinterpret_cast<const float*>(tile)[at];
    } else if (weights.format == Format::bf16) {
      row[k] = from_bf16(reinterpret_cast<const uint16_t*>(tile)[at]);
    } else {
      const bool q4 = weights.format == Format::q4;
      const uint8_t byte = uint8_t(tile[place(q4, lane, k)]);
      const size_t scale = index * tile_scales(inputs) + scale_place(lane, k / BLOCK);
      row[k] = q4 ? from_f16(weights.d[scale]) * float(is_high(k) ? byte >> 4 : byte & 15) + from_f16(weights.m[scale])
                  : from_f16(weights.d[scale]) * float(int(byte) - 128);
    }
  }
}

}  // namespace troupe
