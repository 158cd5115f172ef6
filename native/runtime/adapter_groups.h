#pragma once
#include <vector>

#include "../linear/linear.h"
#include "adapter.h"
#include "step.h"

namespace troupe {

/** The adapters that act at one place, as the kernels want them. Its arrays are used again by every operator. */
class AdapterGroups {
 public:
  struct Linear {
    const Group* groups;
    int count;
    /** By group: the same adapter at the block that is computed next. */
    const BlockAdapter* const* next;
  };
  struct Residual {
    const ResidualGroup* groups;
    int count;
  };

  Linear linear(const Uses& uses, int layer, int block, int nextLayer, int nextBlock) {
    groups_.clear();
    next_.clear();
    for (const Use& use : uses.all()) {
      const BlockAdapter* adapter = use.adapter->block(layer, block);
      if (adapter == nullptr) continue;
      groups_.push_back({adapter, use.rows, use.scales, use.count});
      next_.push_back(use.adapter->block(nextLayer, nextBlock));
    }
    return {groups_.data(), int(groups_.size()), next_.data()};
  }

  Residual residual(const Uses& uses, int layer, int sublayer) {
    residual_.clear();
    for (const Use& use : uses.all())
      if (const ResidualAdapter* adapter = use.adapter->residual(layer, sublayer))
        residual_.push_back({adapter, use.rows, use.scales, use.count, use.level});
    return {residual_.data(), int(residual_.size())};
  }

 private:
  std::vector<Group> groups_;
  std::vector<const BlockAdapter*> next_;
  std::vector<ResidualGroup> residual_;
};

}  // namespace troupe
