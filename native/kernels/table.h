#pragma once
// The table of a set's kernels; included last.

namespace troupe {
namespace {

constexpr Kernels table_named(const char* name) {
  return {name,
          {floats<float>, floats<uint16_t>, quantised<false>, quantised<true>},
          quantise,
          {down<float>, down<uint16_t>},
          {up<float>, up<uint16_t>},
          activate,
          gated,
          add_rows,
          multiply_rows,
          rms_norm,
          layer_norm,
          widen_bf16,
          widen_f16,
          narrow_bf16,
          argmax,
          log_sum_exp,
          largest};
}

}  // namespace
}  // namespace troupe
