#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "../core/kernels.h"
#include "model.h"
#include "threads.h"

using namespace troupe;
using namespace troupe::bench;

namespace {

/** With one thread, of the processor's time, so that other work on the machine does not count. */
bool ownTime = false;

double milliseconds() {
  if (ownTime) return double(std::clock()) * 1e3 / CLOCKS_PER_SEC;
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Case {
  int rows, adapters, rank;
};

/** Alternates all cases and keeps the least of each: other work on the machine only adds. */
std::vector<double> measure(Products& products, const std::vector<Case>& cases, int rounds, const Pool& pool, Scratch& scratch) {
  std::vector<double> least(cases.size(), 1e30);
  int rank = 0;
  for (int round = 0; round <= rounds; round++)
    for (size_t i = 0; i < cases.size(); i++) {
      if (cases[i].rank != 0 && cases[i].rank != rank) products.load(16, rank = cases[i].rank);
      std::vector<int> adapters(cases[i].rows, -1);
      for (int row = 0; row < cases[i].rows && cases[i].adapters > 0; row++) adapters[row] = row % cases[i].adapters;
      const double start = milliseconds();
      products.run(cases[i].rows, adapters, pool, scratch);
      if (round > 0) least[i] = std::min(least[i], milliseconds() - start);
    }
  return least;
}

double reading(Threads& threads, const std::vector<float>& memory) {
  const Pool pool = threads.pool();
  std::atomic<int> hits{0};
  double best = 0;
  for (int round = 0; round < 5; round++) {
    const double start = milliseconds();
    const size_t share = memory.size() / pool.threads;
    // The largest of a row of logits is as plain a reading loop as any.
    parallel(pool, pool.threads, [&](size_t i) { hits += kernels().argmax(memory.data() + i * share, nullptr, share) >= 0; });
    best = std::max(best, double(memory.size()) * 4 / (milliseconds() - start) / 1e6);
  }
  return best;
}

}  // namespace

/** Prints one line per figure, tab-separated: name, value, unit. `native/bench.ts` makes the table. Arguments: rounds, threads. */
int main(int count, char** arguments) {
  const int rounds = count > 1 ? std::atoi(arguments[1]) : 5, threadCount = count > 2 ? std::atoi(arguments[2]) : 2;
  const char* only = count > 3 ? arguments[3] : "";
  ownTime = threadCount == 1;
  Threads threads(threadCount);
  const Pool pool = threads.pool();
  Scratch scratch;
  const auto line = [](const std::string& name, double value, const char* unit) {
    std::printf("%s\t%.4g\t%s\n", name.c_str(), value, unit);
    std::fflush(stdout);
  };
  std::fprintf(stderr, "kernels: %s, threads: %d\n", kernels().name, threadCount);

  const struct {
    const char* name;
    Format format;
  } formats[] = {{"int4", Format::q4}, {"int8", Format::q8}, {"bf16", Format::bf16}};
  for (const auto& format : formats) {
    if (*only && std::string(only) != format.name) continue;
    Products products(format.format, 24);
    const bool adapters = format.format == Format::q4;
    std::vector<Case> cases;
    for (const int rows : {1, 2, 4, 8, 16, 64, 256}) cases.push_back({rows, 0, 0});
    const size_t plain = cases.size();
    if (adapters)
      for (const Case& extra : {Case{1, 1, 16}, {16, 1, 16}, {16, 4, 16}, {16, 16, 16}, {64, 1, 16}}) cases.push_back(extra);
    const std::vector<double> times = measure(products, cases, rounds, pool, scratch);
    for (size_t i = 0; i < cases.size(); i++) {
      std::string name = std::string(format.name) + ", rows " + std::to_string(cases[i].rows);
      if (i < plain) {
        line(name, times[i], "ms");
        if (cases[i].rows == 1) line(name + ", weights read", double(products.bytes()) / times[i] / 1e6, "GB/s");
        continue;
      }
      double base = 0;
      for (size_t j = 0; j < plain; j++)
        if (cases[j].rows == cases[i].rows) base = times[j];
      line(name + ", rank-16 adapters " + std::to_string(cases[i].adapters) + ", beyond base", times[i] - base, "ms");
    }
  }
  if (!*only || std::string(only) == "reading") line("plain reading", reading(threads, std::vector<float>(size_t(64) << 20, 1.0f)), "GB/s");
}
