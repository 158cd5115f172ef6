#pragma once
#include "../runtime/model.h"
#include "values.h"

namespace troupe::js {

/** The options of `open`; the graph stays JavaScript's. */
ModelOptions read_options(const Value& options);

/** An adapter's weights; the numbers stay JavaScript's. */
AdapterSource read_adapter(const Value& weights);

}  // namespace troupe::js
