'use strict'
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { readFileSync, readdirSync } = require('node:fs')
const { join } = require('node:path')
const { outputs, ORDER } = require('../build')

test('index.js and index.mjs are what build.js makes of src/', () => {
  for (const [name, text] of Object.entries(outputs())) {
    assert.ok(readFileSync(join(__dirname, '..', name), 'utf8') === text, name + ' is old: node build.js')
  }
  assert.deepEqual(
    readdirSync(join(__dirname, '..', 'src')).sort(),
    ORDER.map((name) => name + '.js')
      .concat('package.json')
      .sort()
  )
})

test('each of the two files works alone, and so does the package', async () => {
  const required = require('../index.js')
  const imported = await import('../index.mjs')
  for (const api of [required, imported, imported.default, await import('caddy-wechat-client')]) {
    assert.equal(typeof api.createClient, 'function')
    assert.equal(api.getHeader({ header: { 'X-A': 1 } }, 'x-a'), '1')
  }
  for (const name of ['index.js', 'index.mjs']) {
    assert.doesNotMatch(readFileSync(join(__dirname, '..', name), 'utf8'), /\brequire\(|^import /m)
  }
})
