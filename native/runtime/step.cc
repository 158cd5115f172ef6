#include "step.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <tuple>

#include "error.h"

namespace troupe {

namespace {

/** Rows of queries, all heads of a key head counted, that one piece of work takes: few enough to stay in the first cache. */
constexpr int CHUNK_ROWS = 64;

[[noreturn]] void bad(const std::string& message) { throw Error("bad_step", message); }

std::string number(int64_t value) { return std::to_string(value); }

}  // namespace

void Uses::clear() {
  members_.clear();
  rows_.clear();
  scales_.clear();
  uses_.clear();
}

void Uses::finish() {
  const auto key = [](const Member& m) { return std::make_tuple(m.level, m.place, m.id); };
  std::sort(members_.begin(), members_.end(), [&](const Member& a, const Member& b) {
    return std::make_tuple(key(a), a.firstRow) < std::make_tuple(key(b), b.firstRow);
  });
  for (const Member& member : members_)
    for (int32_t i = 0; i < member.rows; i++) {
      rows_.push_back(member.firstRow + i);
      scales_.push_back(member.scale);
    }
  size_t row = 0;
  for (size_t i = 0; i < members_.size();) {
    const Member& first = members_[i];
    const size_t begin = row;
    for (; i < members_.size() && key(members_[i]) == key(first); i++) row += size_t(members_[i].rows);
    uses_.push_back({first.adapter, rows_.data() + begin, scales_.data() + begin, int(row - begin), first.level});
  }
}

void Step::prepare(const StepInput& input, const Architecture& architecture, const KvCache& kv, const AdapterTable& adapters) {
  input_ = input;
  if (input.tokens.count == 0) bad("a step needs at least one token");
  if (input.tokens.count > INT32_MAX / 2) bad("a step has " + number(int64_t(input.tokens.count)) + " tokens");
  read_mixes(adapters);
  read_sequences(kv, architecture);
  check_tokens(architecture);
  group_rows();
  rotate(architecture);
}

void Step::read_mixes(const AdapterTable& adapters) {
  const size_t members = input_.mixAdapters.count;
  if (input_.mixScales.count != members)
    bad(number(int64_t(input_.mixScales.count)) + " scales for " + number(int64_t(members)) + " members of mixes");
  if (input_.mixStart.count != input_.mixStacked.count + 1) bad("mixStart must have one entry more than mixStacked");
  if (input_.mixStart[0] != 0 || size_t(input_.mixStart[input_.mixStacked.count]) != members)
    bad("mixStart must begin at 0 and end at the number of members");
  for (size_t mix = 0; mix < input_.mixStacked.count; mix++)
    if (input_.mixStart[mix] > input_.mixStart[mix + 1]) bad("mixStart falls at mix " + number(int64_t(mix)));
  members_.clear();
  for (size_t i = 0; i < members; i++) members_.push_back(&adapters.adapter(input_.mixAdapters[i]));
}

void Step::read_sequences(const KvCache& kv, const Architecture& architecture) {
  constexpr size_t INTS = sizeof(SequenceSpan) / sizeof(int32_t);
  if (input_.sequences.count == 0 || input_.sequences.count % INTS != 0) bad("a sequence has " + number(INTS) + " integers");
  spans_.resize(input_.sequences.count / INTS);
  memcpy(spans_.data(), input_.sequences.data, spans_.size() * sizeof(SequenceSpan));
  written_.resize(size_t(kv.pages()));
  if (++serial_ == 0) std::fill(written_.begin(), written_.end(), serial_++);
  chunks_.clear();
  sequenceOf_.clear();
  positions_.clear();
  const int group = architecture.heads / architecture.kvHeads, most = std::max(1, CHUNK_ROWS / group);
  for (size_t i = 0; i < spans_.size(); i++) {
    const SequenceSpan& span = spans_[i];
    const auto who = [i] { return "sequence " + number(int64_t(i)); };
    if (size_t(span.firstToken) != sequenceOf_.size() || span.count < 1 ||
        size_t(span.count) > input_.tokens.count - sequenceOf_.size())
      bad(who() + " does not begin where the one before it ends, or has more tokens than there are");
    if (span.kvStart < 0 || span.ropeOffset < 0 || span.ropeOffset > span.kvStart || span.kvStart > INT32_MAX - span.count)
      bad(who() + " has " + number(span.kvStart) + " tokens in its pages, " + number(span.ropeOffset) + " of them without position");
    if (span.ropeTable != 0 && (span.ropeTable != 1 || architecture.longRope.empty()))
      bad(who() + " asks for rotation table " + number(span.ropeTable));
    if (span.mix < -1 || span.mix >= int64_t(input_.mixStacked.count)) bad(who() + " names mix " + number(span.mix));
    if (span.pageStart < 0 || span.pageCount < 0 || size_t(span.pageStart) > input_.pages.count ||
        size_t(span.pageCount) > input_.pages.count - size_t(span.pageStart))
      bad(who() + " names pages that are not in the table");
    const int32_t end = span.kvStart + span.count;
    if (end > int64_t(span.pageCount) * PAGE) bad(who() + " has no page for its token " + number(end - 1));
    if (end - span.ropeOffset > architecture.maxContext)
      bad(who() + " would have " + number(end - span.ropeOffset) + " positions, the model has " + number(architecture.maxContext));
    const int32_t* pages = pages_of(span);
    for (int32_t p = 0; p < span.pageCount; p++) kv.check_page(pages[p]);
    for (int32_t p = span.kvStart / PAGE; p <= (end - 1) / PAGE; p++) {
      uint32_t& writer = written_[size_t(pages[p])];
      if (writer == serial_) throw Error("bad_page", "page " + number(pages[p]) + " would be written twice in one step");
      writer = serial_;
    }
    for (int32_t t = 0; t < span.count; t += most) chunks_.push_back({int32_t(i), t, std::min(most, span.count - t)});
    for (int32_t t = 0; t < span.count; t++) {
      sequenceOf_.push_back(int32_t(i));
      positions_.push_back(span.kvStart - span.ropeOffset + t);
    }
  }
  if (sequenceOf_.size() != input_.tokens.count) bad("the sequences have fewer tokens than there are");
  // The longest pieces of work first, so that no thread is left alone with one at the end.
  std::sort(chunks_.begin(), chunks_.end(), [&](const QueryChunk& a, const QueryChunk& b) {
    const auto work = [&](const QueryChunk& c) { return int64_t(c.count) * (spans_[size_t(c.sequence)].kvStart + c.firstToken + c.count); };
    return std::make_tuple(-work(a), a.sequence, a.firstToken) < std::make_tuple(-work(b), b.sequence, b.firstToken);
  });
}

void Step::check_tokens(const Architecture& architecture) const {
  for (size_t t = 0; t < input_.tokens.count; t++) {
    const int32_t id = input_.tokens[t];
    if (id >= 0 && id < architecture.vocab) continue;
    const SequenceSpan& span = sequence_of(int(t));
    const Adapter* adapter = member(span, [&](const Adapter& a) {
      return id < 0 ? -(int64_t(id) + 1) < a.virtualCount : a.token_row(id) >= 0;
    });
    if (adapter == nullptr || (id >= 0 && adapter->tokenEmbed == nullptr))
      throw Error("bad_token", "token " + number(id) + " at row " + number(int64_t(t)) + " is not one of the model's " +
                                   number(architecture.vocab) + ", nor of the mix of its sequence");
  }
  for (size_t i = 0; i < input_.logitRows.count; i++) {
    const int32_t row = input_.logitRows[i];
    if (row < 0 || size_t(row) >= input_.tokens.count) bad("logits are wanted of row " + number(row));
    if (i > 0 && row <= input_.logitRows[i - 1]) bad("logitRows must ascend");
  }
}

void Step::group_rows() {
  uses.clear();
  residualUses.clear();
  logitUses.clear();
  logitResidualUses.clear();
  const int32_t* row = input_.logitRows.data;
  const int32_t* const end = row + input_.logitRows.count;
  for (const SequenceSpan& span : spans_) {
    const int32_t firstLogit = int32_t(row - input_.logitRows.data);
    while (row < end && *row < span.firstToken + span.count) row++;
    if (span.mix < 0) continue;
    const int32_t logits = int32_t(row - input_.logitRows.data) - firstLogit;
    const int32_t first = input_.mixStart[size_t(span.mix)], last = input_.mixStart[size_t(span.mix) + 1];
    int32_t level = 0;
    for (int32_t i = first; i < last; i++) {
      const Adapter& adapter = *members_[size_t(i)];
      Uses::Member member{0, i - first, input_.mixAdapters[size_t(i)], span.firstToken, span.count, &adapter, input_.mixScales[size_t(i)]};
      uses.add(member);
      if (adapter.hasResidual) {
        member.level = level;
        residualUses.add(member);
        if (input_.mixStacked[size_t(span.mix)]) level++;
      }
      if (logits == 0) continue;
      member.firstRow = firstLogit;
      member.rows = logits;
      if (adapter.hasResidual) logitResidualUses.add(member);
      member.level = 0;
      logitUses.add(member);
    }
  }
  uses.finish();
  residualUses.finish();
  logitUses.finish();
  logitResidualUses.finish();
}

void Step::rotate(const Architecture& architecture) {
  ropeStart_.clear();
  size_t size = 0;
  for (const Rope& rope : architecture.ropes) {
    ropeStart_.push_back(size);
    size += rope.inverse.size() * input_.tokens.count;
  }
  cosines_.resize(size);
  sines_.resize(size);
  for (size_t r = 0; r < architecture.ropes.size(); r++) {
    float* cosine = cosines_.data() + ropeStart_[r];
    float* sine = sines_.data() + ropeStart_[r];
    const size_t half = architecture.ropes[r].inverse.size();
    for (size_t t = 0; t < input_.tokens.count; t++) {
      const Rope& rope = sequence_of(int(t)).ropeTable == 1 ? architecture.longRope[0] : architecture.ropes[r];
      for (size_t i = 0; i < half; i++) {
        const double angle = positions_[t] * rope.inverse[i];
        cosine[t * half + i] = float(std::cos(angle) * rope.factor);
        sine[t * half + i] = float(std::sin(angle) * rope.factor);
      }
    }
  }
}

}  // namespace troupe
