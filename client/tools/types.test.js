'use strict'
// The types beside those of the platforms. Lines that must not compile are
// marked with @ts-expect-error.
const { test } = require('node:test')
const assert = require('node:assert/strict')
const { join } = require('node:path')
const ts = require('typescript')

for (const platform of ['wx', 'uni']) {
  test('types of ' + platform, () => {
    const host = Object.assign({}, ts.sys, { onUnRecoverableConfigFileDiagnostic: (d) => assert.fail(d.messageText) })
    const config = ts.getParsedCommandLineOfConfigFile(join(__dirname, 'types', `tsconfig.${platform}.json`), {}, host)
    const found = ts.getPreEmitDiagnostics(ts.createProgram(config.fileNames, config.options))
    assert.equal(
      ts.formatDiagnostics(found, {
        getCanonicalFileName: (f) => f,
        getCurrentDirectory: () => __dirname,
        getNewLine: () => '\n'
      }),
      ''
    )
  })
}
