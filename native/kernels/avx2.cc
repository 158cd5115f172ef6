#include "dots.avx2.h"
#include "products.h"
#include "branch_sums.h"
#include "functions.h"
#include "norms.h"
#include "logits.h"
#include "table.h"

namespace troupe {
extern const Kernels avx2_kernels;
const Kernels avx2_kernels = table_named("avx2");
}  // namespace troupe
