'use strict'
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { gzipSync } = require('node:zlib')
const { join } = require('node:path')
const esbuild = require('esbuild')

test('the client adds less than 10 kB to a bundle', async () => {
  for (const entry of ['index.js', 'index.mjs', 'src/client.js']) {
    const built = await esbuild.build({
      entryPoints: [join(__dirname, '..', entry)],
      bundle: true,
      minify: true,
      write: false,
      format: 'cjs',
      target: 'es2015'
    })
    const size = gzipSync(built.outputFiles[0].contents, { level: 9 }).length
    assert.ok(size < 10000, `${entry}: ${size} bytes`)
  }
})
