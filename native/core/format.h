#pragma once
#include <cstddef>
#include <cstdint>

namespace troupe {

/** Outputs of a tile, inputs that share a scale, rows that are multiplied at once. */
constexpr int TILE = 16, BLOCK = 32, GROUP = 16;

/**
 * How the weights of a product are stored: tile after tile of 16 outputs (the last one filled with zeros), within a tile
 *
 *     f32, bf16  [input][16 outputs]
 *     q8         [block of 32 inputs][8 quads][16 outputs][4 inputs], a byte each: value + 128; weight = d · value
 *     q4         [block of 32 inputs][4 quads][16 outputs][4 inputs], two values a byte: quad v in the low four bits,
 *                quad v + 4 in the high ones; weight = d · value + m
 *
 * with d and m in f16 [tile][block][16 outputs]. A quad of 16 outputs is one register of AVX-512, and four inputs are what one multiply-add of
 * int8 takes.
 */
enum class Format : uint8_t { f32, bf16, q8, q4 };

/** Non-linearities, in the order of `ACTIVATIONS` in `src/core/branch.ts`. */
enum class Activation : uint8_t {
  identity,
  relu,
  relu2,
  relu6,
  silu,
  gelu,
  gelu_tanh,
  gelu_clipped,
  quick_gelu,
  tanh,
  sigmoid,
  leaky_relu,
  mish,
  laplace
};

constexpr bool is_quantised(Format format) { return format == Format::q8 || format == Format::q4; }

constexpr int tiles_of(int outputs) { return (outputs + TILE - 1) / TILE; }
constexpr int blocks_of(int inputs) { return (inputs + BLOCK - 1) / BLOCK; }

/** Bytes of the weights of one tile. */
constexpr size_t tile_bytes(Format format, int inputs) {
  switch (format) {
    case Format::f32: return size_t(inputs) * TILE * 4;
    case Format::bf16: return size_t(inputs) * TILE * 2;
    case Format::q8: return size_t(blocks_of(inputs)) * BLOCK * TILE;
    case Format::q4: return size_t(blocks_of(inputs)) * BLOCK * TILE / 2;
  }
  return 0;
}

/** Elements of `d` (and of `m`) of one tile. */
constexpr size_t tile_scales(int inputs) { return size_t(blocks_of(inputs)) * TILE; }

}  // namespace troupe
