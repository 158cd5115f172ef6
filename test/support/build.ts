import { execFileSync } from 'node:child_process'

/** Compiles `src` to `dist` before the tests: threads and the CLI run from the build. */
export default function build(): void {
  execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' })
}
