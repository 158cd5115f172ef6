#include "../kernels/dots.avx2.h"
#include "../kernels/products.h"
#include "../kernels/branch_sums.h"
#include "../kernels/functions.h"
#include "../kernels/norms.h"
#include "../kernels/logits.h"
#include "../kernels/quantise4.h"
#include "../kernels/attend.h"
#include "../kernels/table.h"

// Few machines have both AVX-512 and AVX-VNNI, which are one instruction in two encodings: with the encoding of the first, a machine that has
// only that one tests the kernels of the second.
namespace troupe {
extern const Kernels avx2_vnni_as_avx512_kernels;
const Kernels avx2_vnni_as_avx512_kernels = table_named("avx2-vnni as avx512");
}  // namespace troupe
