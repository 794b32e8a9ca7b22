'use strict'
// "Build npm" and the compiler of WeChat's developer tools, on the example and on
// a program that takes the client in every way; what they make is run. They need
// neither a key nor a network: what they would ask WeChat about the account is
// their own default.

const { after, test } = require('node:test')
const assert = require('node:assert/strict')
const { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const Zip = require('adm-zip')
const ci = require('miniprogram-ci')
const { DefaultProjectAttr } = require('miniprogram-ci/dist/config/config')
const { makePlatform, runMiniProgram } = require('../platforms/miniprogram')

const client = join(__dirname, '..')
const work = mkdtempSync(join(tmpdir(), 'devtools-'))
after(() => rmSync(work, { recursive: true, force: true }))

// pack puts the client into a project, by copy and by npm, packs it and gives the
// folder that a phone would get.
async function pack(name) {
  const folder = join(work, name)
  cpSync(join(client, 'index.js'), join(folder, 'caddy-wechat.js'))
  const installed = join(folder, 'node_modules', 'caddy-wechat-client')
  for (const file of ['package.json', ...require('../package.json').files])
    cpSync(join(client, file), join(installed, file))
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name, version: '1.0.0', dependencies: { 'caddy-wechat-client': '0.1.0' } })
  )
  const key = join(work, 'no-key')
  writeFileSync(key, 'no key')
  const project = new ci.Project({
    appid: 'wx1234567890abcdef',
    type: 'miniProgram',
    projectPath: folder,
    privateKeyPath: key,
    ignores: ['node_modules/**/*']
  })
  project._attr = DefaultProjectAttr
  assert.deepEqual(await ci.packNpm(project, { reporter: () => {} }), [])
  const zip = join(work, name + '.zip')
  const setting = { es6: true, es7: true, minify: true }
  await ci.getCompiledResult({ project, version: '1.0.0', desc: '', setting, onProgressUpdate() {} }, zip)
  const packed = join(work, name + '.packed')
  new Zip(zip).extractAllTo(packed)
  return packed
}

async function within(platform) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error('no further than ' + JSON.stringify(platform.reports))), 30000)
  })
  return Promise.race([platform.ended, late]).finally(() => clearTimeout(timer))
}

test('a program that takes the client by copy and by npm', async () => {
  const folder = join(work, 'program')
  mkdirSync(join(folder, 'pages/index'), { recursive: true })
  const files = {
    'app.json': '{ "pages": ["pages/index/index"] }',
    'sitemap.json': '{ "rules": [] }',
    'project.config.json': '{ "appid": "wx1234567890abcdef", "compileType": "miniprogram", "setting": {} }',
    'pages/index/index.wxml': '<view>hello</view>',
    'pages/index/index.js': 'Page({})',
    'app.js': `import api, { createClient as named } from './caddy-wechat.js'
import npm, { createClient } from 'caddy-wechat-client'
const required = require('caddy-wechat-client')
const copied = require('./caddy-wechat.js')
import { direct, run } from './program.js'

wx.report('kinds', [api.createClient, named, npm.createClient, required.createClient, copied.createClient].map((f) => typeof f).join())
run(createClient, undefined, direct(wx))
App({})
`
  }
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text)
  cpSync(join(client, 'platforms/program.js'), join(folder, 'program.js'))
  const packed = await pack('program')
  const platform = makePlatform()
  runMiniProgram(packed, platform).load('app.js')
  const { kinds, login, again, refused, after: last, logout } = await within(platform)
  assert.equal(kinds, Array(5).fill('function').join())
  assert.deepEqual(
    { login, again, last, logout },
    { login: '/a token-1', again: '/b token-2', last: '/c token-3', logout: 'done' }
  )
  assert.equal(refused, Array(9).fill('request:fail refused').join())
})

test('the example', async () => {
  cpSync(join(client, 'example'), join(work, 'example'), { recursive: true })
  const packed = await pack('example')
  const platform = makePlatform()
  const program = runMiniProgram(packed, platform)
  program.load('app.js')
  program.load('pages/index/index.js')
  const page = Object.assign({ setData: (data) => Object.assign(page.data, data) }, program.declared.page)
  platform.gateway.answers['/'] = [{ statusCode: 200, data: 'hello', header: {} }]
  await page.call()
  assert.equal(page.data.text, 'hello')
})
