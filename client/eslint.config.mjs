// Run by tools/, where ESLint is installed.
import { createRequire } from 'node:module'

const require = createRequire(new URL('tools/package.json', import.meta.url))
const js = require('@eslint/js')
const globals = require('globals')

const rules = {
  ...js.configs.recommended.rules,
  eqeqeq: 'error',
  'no-var': 'error',
  'prefer-const': ['error', { destructuring: 'all' }],
  'no-unused-vars': ['error', { caughtErrors: 'none' }],
  'no-shadow': ['error', { allow: ['t', 'binary'] }],
  'no-implicit-globals': 'error'
}

export default [
  { ignores: ['index.js', 'index.mjs', '**/node_modules', '**/dist'] },
  {
    // What runs on phones as it is: no newer syntax, and nothing that only
    // browsers or Node have.
    files: ['src/**', 'platforms/program.js'],
    languageOptions: {
      ecmaVersion: 2015,
      sourceType: 'module',
      globals: {
        ...globals.es2015,
        wx: 'readonly',
        crypto: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly'
      }
    },
    rules: { ...rules, 'no-control-regex': 'off', complexity: ['error', 20], 'max-lines': ['error', 400] }
  },
  {
    files: ['example/**'],
    languageOptions: {
      ecmaVersion: 2018,
      sourceType: 'commonjs',
      globals: { ...globals.commonjs, wx: 'readonly', App: 'readonly', Page: 'readonly', getApp: 'readonly' }
    },
    rules
  },
  {
    files: ['build.js', 'test/**', 'e2e/**', 'tools/*.js', 'platforms/{builds.test,miniprogram,types.test}.js'],
    languageOptions: { ecmaVersion: 2023, sourceType: 'commonjs', globals: globals.node },
    rules
  },
  { files: ['e2e/playground.test.js', 'e2e/pictures.js'], languageOptions: { globals: globals.browser } },
  { files: ['**/*.mjs'], languageOptions: { ecmaVersion: 2023, sourceType: 'module', globals: globals.node }, rules }
]
