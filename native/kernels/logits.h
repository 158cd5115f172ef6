#pragma once
// What sampling asks of a row of logits; included after a set's `functions.h`.

namespace troupe {
namespace {

inline uint32_t bits_at(const uint32_t* mask, size_t i) { return mask ? mask[i / 32] >> (i % 32) & 0xffff : 0xffff; }

/** 16 values, −∞ where the mask has no bit and behind the end. */
inline V masked(const float* x, const uint32_t* mask, size_t i, size_t count) {
  const int n = count - i >= 16 ? 16 : int(count - i);
  const uint32_t bits = bits_at(mask, i) & (n == 16 ? 0xffff : (1u << n) - 1);
  return where_bits(bits, read(x + i, n), splat(-INFINITY));
}

int32_t argmax(const float* x, const uint32_t* mask, size_t count) {
  V best = splat(-INFINITY);
  // No number is less than a NaN, so none of them is taken.
  for (size_t i = 0; i < count; i += 16) {
    const V v = masked(x, mask, i, count);
    best = where_less(best, v, v, best);
  }
  const float peak = largest_lane(best);
  for (size_t i = 0; i < count; i++)
    if (x[i] == peak && (!mask || mask[i / 32] >> (i % 32) & 1)) return int32_t(i);
  return -1;
}

double log_sum_exp(const float* x, const uint32_t* mask, size_t count) {
  V best = splat(-INFINITY);
  for (size_t i = 0; i < count; i += 16) {
    const V v = masked(x, mask, i, count);
    best = where_less(best, v, v, best);
  }
  const float peak = largest_lane(best);
  if (peak == -INFINITY) return -INFINITY;
  const V middle = splat(peak);
  double total = 0;
  // Parts of 1,024 in f32, their sums in f64: a vocabulary of 260,000 loses no digits.
  for (size_t part = 0; part < count; part += 1024) {
    const size_t end = part + 1024 < count ? part + 1024 : count;
    V s = splat(0);
    for (size_t i = part; i < end; i += 16) s = add(s, exp(sub(masked(x, mask, i, count), middle)));
    total += double(sum(s));
  }
  return double(peak) + log(total);
}

/** Whether `a` comes before `b`. */
inline bool precedes(const Candidate& a, const Candidate& b) { return a.value > b.value || (a.value == b.value && a.id < b.id); }

inline void sift_down(Candidate* heap, size_t size, size_t at) {
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= size) return;
    if (child + 1 < size && precedes(heap[child], heap[child + 1])) child++;
    if (!precedes(heap[at], heap[child])) return;
    const Candidate moved = heap[at];
    heap[at] = heap[child];
    heap[child] = moved;
    at = child;
  }
}

/** A heap of the k best with the worst on top; most vectors are passed over by one comparison with that. */
size_t largest(const float* x, const uint32_t* mask, size_t count, size_t k, Candidate* out) {
  size_t size = 0;
  if (k == 0) return 0;
  for (size_t i = 0; i < count; i += 16) {
    const V v = masked(x, mask, i, count);
    const int n = count - i >= 16 ? 16 : int(count - i);
    uint32_t bits = size < k ? bits_at(mask, i) & (n == 16 ? 0xffff : (1u << n) - 1) : less_bits(splat(out[0].value), v);
    for (; bits; bits &= bits - 1) {
      const int lane = __builtin_ctz(bits);
      const Candidate candidate = {x[i + lane], int32_t(i + lane)};
      if (candidate.value != candidate.value) continue;
      if (size < k) {
        out[size++] = candidate;
        if (size == k)
          for (size_t at = k / 2; at-- > 0;) sift_down(out, k, at);
      } else if (precedes(candidate, out[0])) {
        out[0] = candidate;
        sift_down(out, k, 0);
      }
    }
  }
  if (size < k)
    for (size_t at = size / 2; at-- > 0;) sift_down(out, size, at);
  // Taking the worst off the top, one after the other, leaves them best first.
  for (size_t left = size; left > 1; left--) {
    const Candidate worst = out[0];
    out[0] = out[left - 1];
    out[left - 1] = worst;
    sift_down(out, left - 1, 0);
  }
  return size;
}

}  // namespace
}  // namespace troupe
