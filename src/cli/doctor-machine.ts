import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { checkDevice } from '../app/device-check.ts'
import { formatByteSize } from '../config/byte-size.ts'
import { cpuQuota } from '../config/cpu-quota.ts'
import { availableMemory } from '../config/defaults.ts'
import { settingSchema } from '../config/schema.ts'
import { messageOf } from '../core/errors.ts'
import type { Finding } from './doctor.ts'

const MIN_NODE = [20, 19] as const
/** What `onnxruntime-node` ships binaries for. */
const PLATFORMS = ['linux-x64', 'linux-arm64', 'darwin-arm64', 'win32-x64', 'win32-arm64']
const MIN_MEMORY = 2 ** 30

export function checkNode(version = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const ok = major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])
  return { ok, what: 'node', detail: version, ...(ok ? {} : { fix: `install Node ${MIN_NODE.join('.')} or newer` }) }
}

export function checkPlatform(platform = `${process.platform}-${process.arch}`): Finding {
  const ok = PLATFORMS.includes(platform)
  const fix = `run on one of ${PLATFORMS.join(', ')}: ONNX Runtime has no binaries for others`
  return { ok, what: 'platform', detail: platform, ...(ok ? {} : { fix }) }
}

/** Loads it, and lists the devices that the setting `device` can choose. */
export async function checkOnnxRuntime(): Promise<Finding> {
  try {
    const { env, listSupportedBackends } = await import('onnxruntime-node')
    const chosen = settingSchema('device').enum ?? []
    const devices = listSupportedBackends().flatMap(({ name }) => (chosen.includes(name) ? [name] : []))
    return { ok: true, what: 'onnxruntime', detail: `${env.versions.node ?? 'loads'}, devices: ${devices.join(', ')}` }
  } catch (error) {
    return {
      ok: false,
      what: 'onnxruntime',
      detail: messageOf(error),
      fix: 'run `npm ci` again on this machine; on Linux it needs glibc 2.28 or newer (not musl)',
    }
  }
}

/** Loads the native addon and runs one of its kernels, so that what the processor lacks shows. */
export function checkAddon(): Finding {
  try {
    checkDevice()
    return { ok: true, what: 'addon', detail: 'loads, and its kernels run' }
  } catch (error) {
    const fix = 'install the package again on this machine, or run on a processor with AVX2 or NEON'
    return { ok: false, what: 'addon', detail: messageOf(error), fix }
  }
}

/** Never fails: slow is not wrong. */
export function checkCpu(quota = cpuQuota()): Finding {
  const cores = cpus()
  const features = linuxFeatures()
  const slow = features !== null && !features.includes('avx2') && !features.includes('asimd')
  const limit = quota === null ? '' : `, a quota of ${Number(quota.toFixed(2))} CPUs`
  const known = features === null ? '' : `, ${features.join(' ') || 'no vector extensions'}`
  return {
    ok: true,
    what: 'cpu',
    detail: `${cores[0]?.model.trim() ?? 'unknown'}, ${cores.length} threads${limit}${known}${slow ? ' (slow without avx2)' : ''}`,
  }
}

export function checkMemory(bytes = availableMemory()): Finding {
  const ok = bytes >= MIN_MEMORY
  const fix = `give the process at least ${formatByteSize(MIN_MEMORY)}`
  return { ok, what: 'memory', detail: formatByteSize(bytes), ...(ok ? {} : { fix }) }
}

/** Vector extensions that matter, from `/proc/cpuinfo`; null where there is none. */
function linuxFeatures(): readonly string[] | null {
  try {
    const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.split(' ') ?? []
    const wanted = ['avx2', 'fma', 'avx512f', 'avx512_vnni', 'avx_vnni', 'amx_int8', 'asimd', 'asimddp', 'i8mm']
    return wanted.filter((feature) => flags.includes(feature))
  } catch {
    return null
  }
}
