#pragma once
#include "../core/kernels.h"
#include "../core/scratch.h"

namespace troupe {

/** The rows of a step as the products of one weight format read them, sixteen at a time. */
class Panel {
 public:
  static size_t room(Format format, int inputs, int tokens);
  Panel(Format format, int inputs, int tokens, Scratch& scratch);

  /** Puts `x [inputs]` into its place; any thread, each row once. */
  void write(int row, const float* x) const;
  RowGroup group(int index) const;
  int groups() const { return (tokens_ + GROUP - 1) / GROUP; }

 private:
  int rows(int index) const { return tokens_ - index * GROUP < GROUP ? tokens_ - index * GROUP : GROUP; }

  Format format_;
  int inputs_, tokens_;
  int8_t* q_ = nullptr;
  float *scale_ = nullptr, *offset_ = nullptr, *x_ = nullptr;
  int32_t* zero_ = nullptr;
};

}  // namespace troupe
