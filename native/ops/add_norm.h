#pragma once
#include "../runtime/model.h"

namespace troupe {

/** y = norm(x), one row of `width`. */
void normalise(const Architecture& architecture, const Norm& norm, const float* x, float* y, int width);

/** What one sublayer returned, or two that stand side by side (`other` null without). */
struct SublayerResult {
  int layer, sublayer;
  const float* x;
  const float* other;
};

/**
 * What a sublayer leaves: next `[rows][hidden]` = stream + its result, normalised and scaled where the family does so, + what modules at its residual
 * sites add.
 *
 * @param uses of the rows
 * @param spare `[rows][hidden]`, overwritten
 */
void leave_sublayer(Model& model, const Pool& pool, const float* stream, const SublayerResult& result, const Uses& uses, int rows,
                    float* next, float* spare);

}  // namespace troupe
