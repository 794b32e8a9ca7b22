'use strict'
// The types beside those of Taro, as tools/ does it for wx and uni-app.
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { join } = require('node:path')
const ts = require('typescript')

test('types of Taro', () => {
  const host = Object.assign({}, ts.sys, { onUnRecoverableConfigFileDiagnostic: (d) => assert.fail(d.messageText) })
  const config = ts.getParsedCommandLineOfConfigFile(join(__dirname, 'types', 'tsconfig.taro.json'), {}, host)
  const found = ts.getPreEmitDiagnostics(ts.createProgram(config.fileNames, config.options))
  const format = { getCanonicalFileName: (f) => f, getCurrentDirectory: () => __dirname, getNewLine: () => '\n' }
  assert.equal(ts.formatDiagnostics(found, format), '')
})
