#include <algorithm>
#include <cmath>

#include "../core/numbers.h"
#include "../pack/branches.h"
#include "../pack/weights.h"
#include "check.h"

namespace troupe::test {

void test_pack() {
  for (const int inputs : {1, 31, 32, 48, 200})
    for (const int count : {1, 5, 16}) {
      Random random(uint64_t(inputs) * 17 + count);
      const std::vector<float> rows = random.normals(size_t(count) * inputs);
      std::vector<float> back(inputs);
      std::vector<char> tile(std::max(tile_bytes(Format::f32, inputs), tile_bytes(Format::q8, inputs)));
      std::vector<uint16_t> d(tile_scales(inputs)), m(tile_scales(inputs));
      LinearWeights weights = {Format::f32, inputs, 1, {{count, 0, 0}}, tile.data(), d.data(), m.data(), nullptr, nullptr};
      for (const Format format : {Format::f32, Format::bf16, Format::q8}) {
        weights.format = format;
        if (format == Format::q8) pack_q8(rows.data(), count, inputs, tile.data(), d.data());
        else pack_floats(format, rows.data(), count, inputs, tile.data());
        for (int o = 0; o < count; o++) {
          unpack_row(weights, 0, o, back.data());
          for (int k = 0; k < inputs; k++) {
            const float value = rows[size_t(o) * inputs + k];
            float peak = 0;
            for (int i = k / BLOCK * BLOCK; i < std::min(inputs, k / BLOCK * BLOCK + BLOCK); i++) peak = std::max(peak, std::fabs(rows[size_t(o) * inputs + i]));
            const float bound = format == Format::f32 ? 0 : format == Format::bf16 ? std::fabs(value) / 256 : peak / 127 * 0.51f + peak / 2000;
            check(std::fabs(back[k] - value) <= bound, "format %d, %d inputs: weight %d of output %d is %g, not %g", int(format), inputs, k, o,
                  double(back[k]), double(value));
          }
        }
      }
      std::vector<uint8_t> q(rows.size());
      std::vector<uint16_t> scales(size_t(count) * blocks_of(inputs)), minima(scales.size());
      for (uint8_t& value : q) value = uint8_t(random.below(16));
      for (size_t i = 0; i < scales.size(); i++) scales[i] = to_f16(std::fabs(random.normal())), minima[i] = to_f16(random.normal());
      pack_quantised_q4(q.data(), scales.data(), minima.data(), count, inputs, tile.data(), d.data(), m.data());
      weights.format = Format::q4;
      for (int o = 0; o < count; o++) {
        unpack_row(weights, 0, o, back.data());
        for (int k = 0; k < inputs; k++) {
          const size_t block = size_t(o) * blocks_of(inputs) + k / BLOCK;
          const float value = from_f16(scales[block]) * float(q[size_t(o) * inputs + k]) + from_f16(minima[block]);
          check(std::fabs(back[k] - value) <= 1e-6f * (1 + std::fabs(value)), "q4, %d inputs: weight %d of output %d", inputs, k, o);
        }
      }
    }

  bool refused = false;
  try {
    BranchMemory memory(64);
    memory.take(64);
    memory.take(1);
  } catch (const std::bad_alloc&) {
    refused = true;
  }
  check(refused, "memory of a branch gives more than it has");
}

}  // namespace troupe::test
