import js from '@eslint/js'
import tseslint from 'typescript-eslint'

export default tseslint.config(
  { ignores: ['dist/', '.cache/', 'node_modules/', '**/generated/', 'bench/node_modules/', 'examples/**/*.py'] },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: { allowDefaultProject: ['*.js'] }, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
    },
  },
  { files: ['**/*.js'], ...tseslint.configs.disableTypeChecked },
  // `web/` runs in browsers.
  { files: ['web/**/*.js'], languageOptions: { globals: browserGlobals() } },
)

function browserGlobals() {
  const names = [
    ...[
      'addEventListener',
      'clearTimeout',
      'document',
      'fetch',
      'location',
      'matchMedia',
      'navigator',
      'performance',
      'requestAnimationFrame',
    ],
    ...[
      'sessionStorage',
      'setTimeout',
      'AbortController',
      'Event',
      'EventTarget',
      'FormData',
      'ResizeObserver',
      'TextDecoderStream',
    ],
    ...['URLSearchParams', 'XMLHttpRequest', 'getComputedStyle', 'devicePixelRatio', 'history'],
  ]
  return Object.fromEntries(names.map((name) => [name, 'readonly']))
}
