#include "dots.neon.h"
#include "products.h"
#include "branch_sums.h"
#include "functions.h"
#include "norms.h"
#include "logits.h"
#include "attend.h"
#include "quantise4.h"
#include "table.h"

namespace troupe {
extern const Kernels neon_kernels;
const Kernels neon_kernels = table_named("neon");
}  // namespace troupe
