#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "ort_api.h"

namespace troupe {

/** A graph in ONNX Runtime, with operators of ours in it. Input 0 is the tokens, output 0 the logits, both in memory that the caller owns. */
class Session {
 public:
  struct Options {
    int threads;
    /** Whether idle threads spin for the next operator. */
    bool spinning;
  };

  /** Throws `onnx_runtime` with what the library says about the graph. `operators` must live as long as the session. */
  Session(const ort::Api& api, const void* graph, size_t bytes, const std::vector<const ort::CustomOp*>& operators, const Options& options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /** Throws what went wrong in an operator. */
  void run(const int32_t* tokens, int64_t count, float* logits, int64_t rows, int64_t width);

 private:
  const ort::Api& api_;
  OrtSession* session_ = nullptr;
  OrtCustomOpDomain* domain_ = nullptr;
  OrtMemoryInfo* memory_ = nullptr;
};

}  // namespace troupe
