#include <vector>

#include "../core/kernels.h"
#include "model_functions.h"

namespace troupe::js {

namespace {

/** null for null; throws `bad_argument` when it is too short for the row. */
const uint32_t* read_mask(const Value& value, size_t count) {
  if (value.missing()) return nullptr;
  const auto mask = value.array<uint32_t>();
  if (mask.count * 32 < count)
    throw Error("bad_argument", "mask has " + std::to_string(mask.count * 32) + " bits for a row of " + std::to_string(count));
  return mask.data;
}

napi_value argmax(const Arguments& args) {
  const auto row = args.named(0, "row").array<float>();
  return number(args.env, kernels().argmax(row.data, read_mask(args.named(1, "mask"), row.count), row.count));
}

napi_value log_sum_exp(const Arguments& args) {
  const auto row = args.named(0, "row").array<float>();
  return number(args.env, kernels().log_sum_exp(row.data, nullptr, row.count));
}

napi_value largest(const Arguments& args) {
  const auto row = args.named(0, "row").array<float>();
  const auto ids = args.named(1, "ids").array<int32_t>();
  // Kept for the next call: sampling asks for as many candidates for every token.
  thread_local std::vector<Candidate> candidates;
  if (candidates.size() < ids.count) candidates.resize(ids.count);
  const size_t found = kernels().largest(row.data, read_mask(args.named(2, "mask"), row.count), row.count, ids.count, candidates.data());
  for (size_t i = 0; i < found; i++) ids.data[i] = candidates[i].id;
  return number(args.env, double(found));
}

}  // namespace

void define_logit_tools(napi_env env, napi_value exports) {
  define(env, exports, "argmax", argmax);
  define(env, exports, "logSumExp", log_sum_exp);
  define(env, exports, "largest", largest);
}

}  // namespace troupe::js
