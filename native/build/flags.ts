/** The compiler that prebuilt addons are made with, from PyPI (`pip install ziglang==…`): it builds every platform's on any machine. */
export const ZIG_VERSION = '0.17.1'

export type Arch = 'x64' | 'arm64'

/** An addon is built for each: those that onnxruntime-node serves on the CPU. */
export const TARGETS = {
  'linux-x64': { arch: 'x64', triple: 'x86_64-linux-gnu.2.17' },
  'linux-arm64': { arch: 'arm64', triple: 'aarch64-linux-gnu.2.17' },
  'darwin-arm64': { arch: 'arm64', triple: 'aarch64-macos.11.0' },
  'win32-x64': { arch: 'x64', triple: 'x86_64-windows-gnu' },
  'win32-arm64': { arch: 'arm64', triple: 'aarch64-windows-gnu' },
} as const satisfies Record<string, { readonly arch: Arch; readonly triple: string }>

export type Target = keyof typeof TARGETS

/**
 * Flags of every source. Multiply-adds are fused where the source says so and nowhere else, so that all kernels give the same bits; no paths, no dates,
 * no names beyond those that Node looks up.
 */
export const SHARED_FLAGS = [
  '-std=c++17',
  '-O3',
  '-DNDEBUG',
  '-fPIC',
  '-fvisibility=hidden',
  '-fvisibility-inlines-hidden',
  '-ffp-contract=off',
  '-fno-math-errno',
  '-Wall',
  '-Wextra',
]

export const LINK_FLAGS = {
  linux: ['-shared', '-s'],
  darwin: ['-shared', '-s', '-undefined', 'dynamic_lookup'],
  win32: ['-shared', '-s'],
}

/**
 * Instruction sets of kernels: a source with such a name is compiled for it, and runs only where the processor has it. Whatever such a source
 * includes must be in an unnamed namespace: a function shared with other sources could end up in the program in this source's form.
 */
const SETS: readonly (readonly [RegExp, Arch, readonly string[]])[] = [
  [
    /\bavx512\.cc$/,
    'x64',
    ['-mavx2', '-mfma', '-mf16c', '-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mavx512vnni'],
  ],
  [/\bavx2-vnni\.cc$/, 'x64', ['-mavx2', '-mfma', '-mf16c', '-mavxvnni']],
  [/\bavx2\.cc$/, 'x64', ['-mavx2', '-mfma', '-mf16c']],
  [/\bavx2-vnni-as-avx512\.cc$/, 'x64', ['-mavx2', '-mfma', '-mf16c', '-mavx512vl', '-mavx512vnni']],
  [/\bneon-i8mm\.cc$/, 'arm64', ['-mcpu=generic+dotprod+i8mm']],
  [/\bneon-dotprod\.cc$/, 'arm64', ['-mcpu=generic+dotprod']],
  [/\bneon\.cc$/, 'arm64', []],
]

/** Flags of one source beyond the shared ones, as zig wants them: it takes extensions of Arm's sets with the processor only. */
export function flagsOf(source: string, arch: Arch): readonly string[] {
  return SETS.find(([name, of]) => of === arch && name.test(source))?.[2] ?? []
}

/** The same as GCC and plain clang want them. */
export function systemFlagsOf(source: string, arch: Arch): readonly string[] {
  return flagsOf(source, arch).map((flag) => flag.replace('-mcpu=generic', '-march=armv8.2-a'))
}

/** Whether a source has nothing for that architecture. */
export function isForeign(source: string, arch: Arch): boolean {
  return SETS.some(([name, of]) => of !== arch && name.test(source))
}
