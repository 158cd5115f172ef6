#include "model.h"

#include <algorithm>
#include <chrono>

#include "error.h"

namespace troupe {

namespace {

std::vector<const ort::CustomOp*> tables(const std::vector<Operator>& operators) {
  std::vector<const ort::CustomOp*> tables;
  for (const Operator& op : operators) tables.push_back(&op.table);
  return tables;
}

}  // namespace

Model::Model(const ModelOptions& options)
    : architecture(options.architecture),
      weights(options.weights, options.tensors, architecture),
      adapterFormat_(options.adapterFormat),
      threads_(options.session.threads),
      kv_(options.kvFormat, architecture.layers, architecture.kvHeads, architecture.headDim, options.kvPages),
      logitWidth_(architecture.vocab),
      operators_(all_operators(ort::load(options.ortLibrary.c_str()), *this)),
      session_(ort::load(options.ortLibrary.c_str()), options.graph, options.graphBytes, tables(operators_), options.session) {}

int32_t Model::add(std::unique_ptr<Adapter> adapter) {
  if (lastAdapter_ == INT32_MAX) throw Error("bad_adapter", "no ids of adapters are left");
  adapters_.emplace(++lastAdapter_, std::move(adapter));
  measure_width();
  return lastAdapter_;
}

void Model::drop(int32_t id) {
  adapter(id);
  adapters_.erase(id);
  measure_width();
}

const Adapter& Model::adapter(int32_t id) const {
  const auto found = adapters_.find(id);
  if (found == adapters_.end()) throw Error("bad_adapter", "adapter " + std::to_string(id) + " is not loaded");
  return *found->second;
}

void Model::measure_width() {
  logitWidth_ = architecture.vocab;
  for (const auto& [id, adapter] : adapters_) logitWidth_ = std::max(logitWidth_, adapter->tokenEnd);
}

void Model::step(const StepInput& input, float* logits, size_t room) {
  const auto started = std::chrono::steady_clock::now();
  const size_t wanted = input.logitRows.count * size_t(logitWidth_);
  if (room < wanted)
    throw Error("bad_step", "logits of " + std::to_string(input.logitRows.count) + " rows take " + std::to_string(wanted) +
                                " values, there is room for " + std::to_string(room));
  step_.prepare(input, architecture, kv_, *this);
  session_.run(input.tokens.data, int64_t(input.tokens.count), logits, int64_t(input.logitRows.count), logitWidth_);
  steps_++;
  tokens_ += int64_t(input.tokens.count);
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
}

void Model::write_prefix(int32_t id, const int32_t* pages, size_t count) {
  const Adapter& from = adapter(id);
  if (from.prefixCount == 0) throw Error("bad_adapter", "adapter " + std::to_string(id) + " has no keys and values of its own");
  const size_t tokens = size_t(from.prefixCount), needed = (tokens + PAGE - 1) / PAGE;
  if (count != needed)
    throw Error("bad_page", "its prefix of " + std::to_string(tokens) + " tokens takes " + std::to_string(needed) + " pages, not " +
                                std::to_string(count));
  for (size_t i = 0; i < count; i++) {
    kv_.check_page(pages[i]);
    for (size_t j = 0; j < i; j++)
      if (pages[j] == pages[i]) throw Error("bad_page", "page " + std::to_string(pages[i]) + " is given twice");
  }
  const size_t width = size_t(architecture.headDim), heads = size_t(architecture.kvHeads);
  for (int layer = 0; layer < architecture.layers; layer++) {
    const float* keys = from.prefix[size_t(layer)];
    const float* values = keys + heads * tokens * width;
    for (size_t head = 0; head < heads; head++)
      for (size_t t = 0; t < tokens; t++) {
        const size_t at = (head * tokens + t) * width;
        kv_.write(kv_.head(pages[t / PAGE], layer, int(head)), int(t % PAGE), keys + at, values + at);
      }
  }
}

Model::Statistics Model::statistics() const {
  size_t adapterBytes = 0;
  for (const auto& [id, adapter] : adapters_) adapterBytes += adapter->bytes();
  return {steps_, tokens_, seconds_, weights.bytes(), kv_.bytes(), adapterBytes, productScratch.bytes() + scratch.bytes()};
}

}  // namespace troupe
