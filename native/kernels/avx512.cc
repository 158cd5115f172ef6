#include "dots.avx512.h"
#include "products.h"
#include "branch_sums.h"
#include "functions.h"
#include "norms.h"
#include "logits.h"
#include "table.h"

namespace troupe {
extern const Kernels avx512_kernels;
const Kernels avx512_kernels = table_named("avx512");
}  // namespace troupe
