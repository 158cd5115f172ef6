#pragma once
#include <cstdint>
#include <vector>

#include "../linear/linear.h"
#include "adapter.h"
#include "architecture.h"
#include "kv_cache.h"

namespace troupe {

/** Arrays of a step as JavaScript gave them; `src/device/port.ts` says what they mean. */
struct StepInput {
  template <typename T>
  struct Array {
    const T* data;
    size_t count;
    const T& operator[](size_t i) const { return data[i]; }
  };
  Array<int32_t> tokens, sequences, pages, mixStart, mixAdapters;
  Array<float> mixScales;
  Array<uint8_t> mixStacked;
  Array<int32_t> logitRows;
};

/** One sequence of a step, in the order of its integers in `StepInput::sequences`. */
struct SequenceSpan {
  int32_t firstToken, count, kvStart, ropeOffset, ropeTable, mix, pageStart, pageCount;
};

/** Some tokens of one sequence, whose heads are evaluated as one piece of work. */
struct QueryChunk {
  int32_t sequence, firstToken, count;
};

/** The rows that use one adapter, at one place of their mixes. */
struct Use {
  const Adapter* adapter;
  const int32_t* rows;
  const float* scales;
  int count;
  /** In a stack, modules of the same mix below this one. */
  int level;
};

/** Rows of a step by the adapters they use: in the order of the mixes, so that a row's branches are always added in that order. */
class Uses {
 public:
  struct Member {
    int32_t level, place, id, firstRow, rows;
    const Adapter* adapter;
    float scale;
  };

  void clear();
  /** Members that differ in level, place or adapter make groups of their own; those of one group come in the order of their rows. */
  void add(const Member& member) { members_.push_back(member); }
  void finish();
  const std::vector<Use>& all() const { return uses_; }

 private:
  std::vector<Member> members_;
  std::vector<int32_t> rows_;
  std::vector<float> scales_;
  std::vector<Use> uses_;
};

/** Looks up an adapter by its id; throws `bad_adapter`. */
struct AdapterTable {
  virtual const Adapter& adapter(int32_t id) const = 0;

 protected:
  ~AdapterTable() = default;
};

/** What one step evaluates, checked, and the tables that all its operators read. Nothing is allocated once it has grown to the largest step. */
class Step {
 public:
  /** Throws `bad_step`, `bad_page`, `bad_token` or `bad_adapter`, and leaves a step that must not be run. */
  void prepare(const StepInput& input, const Architecture& architecture, const KvCache& kv, const AdapterTable& adapters);

  int tokens() const { return int(input_.tokens.count); }
  int logit_rows() const { return int(input_.logitRows.count); }
  const StepInput& input() const { return input_; }
  const std::vector<SequenceSpan>& sequences() const { return spans_; }
  const std::vector<QueryChunk>& chunks() const { return chunks_; }
  const SequenceSpan& sequence_of(int token) const { return spans_[size_t(sequenceOf_[size_t(token)])]; }
  const int32_t* pages_of(const SequenceSpan& span) const { return input_.pages.data + span.pageStart; }
  /** Position of every token. */
  int position(int token) const { return positions_[size_t(token)]; }

  /** Every row at linear sites; those with residual sites by level of their stacks. `logit…`: rows counted among those whose logits are wanted. */
  Uses uses, residualUses, logitUses, logitResidualUses;

  /** `[tokens][half]` of one rope. */
  const float* cosines(int rope) const { return cosines_.data() + ropeStart_[size_t(rope)]; }
  const float* sines(int rope) const { return sines_.data() + ropeStart_[size_t(rope)]; }

  /** The member of a token's mix for which `has` is true, the first; null without one. */
  template <typename Has>
  const Adapter* member(const SequenceSpan& span, Has has) const {
    if (span.mix < 0) return nullptr;
    for (int32_t i = input_.mixStart[size_t(span.mix)]; i < input_.mixStart[size_t(span.mix) + 1]; i++)
      if (has(*members_[size_t(i)])) return members_[size_t(i)];
    return nullptr;
  }

  /** Calls `visit(adapter, scale)` for the members of a sequence's mix, in order. */
  template <typename Visit>
  void each_member(const SequenceSpan& span, Visit visit) const {
    if (span.mix < 0) return;
    for (int32_t i = input_.mixStart[size_t(span.mix)]; i < input_.mixStart[size_t(span.mix) + 1]; i++)
      visit(*members_[size_t(i)], input_.mixScales[size_t(i)]);
  }

 private:
  void read_mixes(const AdapterTable& adapters);
  void read_sequences(const KvCache& kv, const Architecture& architecture);
  void check_tokens(const Architecture& architecture) const;
  void group_rows();
  void rotate(const Architecture& architecture);

  StepInput input_{};
  std::vector<SequenceSpan> spans_;
  std::vector<QueryChunk> chunks_;
  std::vector<int32_t> sequenceOf_, positions_;
  /** By member of the mixes. */
  std::vector<const Adapter*> members_;
  /** By page: the last step that wrote it. */
  std::vector<uint32_t> written_;
  uint32_t serial_ = 0;
  std::vector<size_t> ropeStart_;
  std::vector<float> cosines_, sines_;
};

}  // namespace troupe
