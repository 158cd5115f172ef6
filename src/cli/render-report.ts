import type { FolderReport } from '../intake/folder-report.ts'

/** A report for people: which files were taken, which were not and why, what to know. */
export function renderReport({ took, ignored, warnings }: FolderReport): string[] {
  const line = (name: string, text: string): string => `${name.padEnd(11)} ${text}`
  return [
    line('took', took.map(({ file }) => file).join(', ')),
    ...ignored.map(({ file, reason }) => line('ignored', `${file}: ${reason}`)),
    ...warnings.map((text) => line('warning', text)),
  ]
}
