#include "dots.plain.h"
#include "products.h"
#include "branch_sums.h"
#include "functions.h"
#include "norms.h"
#include "logits.h"
#include "table.h"

namespace troupe {
extern const Kernels plain_kernels;
const Kernels plain_kernels = table_named("plain");
}  // namespace troupe
