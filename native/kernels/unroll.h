#pragma once

// Loops over a few registers must be unrolled, or the compiler keeps the registers in memory.
#define UNROLL_TEXT(text) _Pragma(#text)
#ifdef __clang__
#define UNROLL(n) UNROLL_TEXT(clang loop unroll_count(n))
#else
#define UNROLL(n) UNROLL_TEXT(GCC unroll n)
#endif
