'use strict'
// A program that logs in, built for each platform from npm, and run. The client
// comes by one copied file and by npm, with import and with require.

const { after, test } = require('node:test')
const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const { dirname, join } = require('node:path')
const { promisify } = require('node:util')
const vm = require('node:vm')
const { makePlatform, runMiniProgram } = require('./miniprogram')

const client = join(__dirname, '..')
const work = join(__dirname, 'node_modules', '.builds')
rmSync(work, { recursive: true, force: true })
after(() => rmSync(work, { recursive: true, force: true }))

const SEEN = {
  login: '/a token-1',
  again: '/b token-2',
  upload: 'token-2',
  download: 'tmp://1',
  socket: 'function',
  abort: 'request:fail abort',
  refused: Array(9).fill('request:fail refused').join(),
  silent: Array(9).fill('request:fail timeout').join(),
  after: '/c token-3',
  logout: 'done',
  end: true
}

// project writes a folder with the client in it: copied, and installed by npm.
function project(name, files) {
  const folder = join(work, name)
  const write = (file, text) => {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
  for (const [file, text] of Object.entries(files)) write(file, text)
  cpSync(join(__dirname, 'program.js'), join(folder, 'src', 'program.js'))
  cpSync(join(client, 'index.js'), join(folder, 'src', 'caddy-wechat.js'))
  cpSync(join(client, 'index.mjs'), join(folder, 'src', 'caddy-wechat.mjs'))
  for (const file of ['package.json', ...require('../package.json').files]) {
    cpSync(join(client, file), join(folder, 'node_modules', 'caddy-wechat-client', file))
  }
  return folder
}

// build runs a command of npm's packages in a folder.
async function build(folder, script, args, env) {
  const options = {
    cwd: folder,
    env: Object.assign({}, process.env, { NODE_ENV: 'production', CI: 'true' }, env),
    maxBuffer: 1 << 26
  }
  const command = [join(__dirname, 'node_modules', script), ...args]
  await promisify(execFile)(process.execPath, command, options).catch((err) => {
    throw new Error(`${script} ${args.join(' ')}\n${err.stdout}\n${err.stderr}`)
  })
}

async function within(platform) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error('the program goes no further than ' + JSON.stringify(platform.reports))),
      30000
    )
  })
  return Promise.race([platform.ended, late]).finally(() => clearTimeout(timer))
}

test('a plain Mini Program', async (t) => {
  const babel = require('@babel/core')
  // What the developer tools make of import and export.
  const compile = (code, filename) =>
    babel.transformSync(code, {
      filename,
      configFile: false,
      babelrc: false,
      sourceType: 'unambiguous',
      plugins: [require.resolve('@babel/plugin-transform-modules-commonjs')]
    }).code
  for (const [name, text] of Object.entries({
    'require of the copy': "const { createClient } = require('./caddy-wechat.js')",
    'require of the copied module': "const { createClient } = require('./caddy-wechat.mjs')",
    'named import of the copy': "import { createClient } from './caddy-wechat.js'",
    'default import of the copy': "import api from './caddy-wechat.js'\nconst { createClient } = api",
    'require of the package': "const { createClient } = require('caddy-wechat-client')",
    'named import of the package': "import { createClient } from 'caddy-wechat-client'",
    'default import of the package': "import api from 'caddy-wechat-client'\nconst { createClient } = api"
  })) {
    await t.test(name, async () => {
      const folder = project('plain', {
        'src/app.js': `${text}\nconst { direct, run } = require('./program.js')\nrun(createClient, undefined, direct(wx))\nApp({})\n`
      })
      // As "Build npm" of the developer tools does.
      cpSync(
        join(folder, 'node_modules', 'caddy-wechat-client'),
        join(folder, 'src', 'miniprogram_npm', 'caddy-wechat-client'),
        { recursive: true }
      )
      const platform = makePlatform()
      runMiniProgram(join(folder, 'src'), platform, compile).load('app.js')
      assert.deepEqual(await within(platform), SEEN)
    })
  }

  await t.test('the example', async () => {
    const folder = join(work, 'example')
    cpSync(join(client, 'example'), folder, { recursive: true })
    cpSync(join(client, 'index.js'), join(folder, 'caddy-wechat.js'))
    const platform = makePlatform()
    const program = runMiniProgram(folder, platform)
    program.load('app.js')
    program.load('pages/index/index.js')
    const page = Object.assign({ setData: (data) => Object.assign(page.data, data) }, program.declared.page)
    platform.gateway.answers['/'] = [{ statusCode: 200, data: 'hello', header: {} }]
    await page.call()
    assert.equal(page.data.text, 'hello')
    await page.logout()
    await page.call()
    assert.equal(page.data.text, 'login_required')
    await page.login()
    assert.equal(page.data.text, 'logged in')
  })
})

test('Taro with webpack', async () => {
  const folder = project('taro', {
    'package.json': '{ "name": "check", "private": true }',
    'babel.config.js':
      "module.exports = { presets: [['taro', { framework: 'react', ts: false, compiler: 'webpack5' }]] }",
    'config/index.js': `module.exports = {
      projectName: 'check', date: '2026-1-1', designWidth: 750, deviceRatio: { 750: 1 }, sourceRoot: 'src', outputRoot: 'dist',
      plugins: ['@tarojs/plugin-framework-react', '@tarojs/plugin-platform-weapp'], framework: 'react',
      compiler: { type: 'webpack5', prebundle: { enable: false } }, cache: { enable: false }, mini: {}, h5: {}
    }`,
    'src/app.config.js': "export default { pages: ['pages/index/index'] }",
    'src/pages/index/index.config.js': 'export default {}',
    'src/pages/index/index.js':
      "import { View } from '@tarojs/components'\nexport default function Index() { return <View>hello</View> }",
    'src/app.js': `import Taro from '@tarojs/taro'
import api, { createClient } from './caddy-wechat.mjs'
import common, { createClient as namedCommon } from './caddy-wechat.js'
import npm, { createClient as namedNpm } from 'caddy-wechat-client'
import { run } from './program.js'

const required = require('caddy-wechat-client')
wx.report('kinds', [api.createClient, common.createClient, namedCommon, npm.createClient, namedNpm, required.createClient].map((f) => typeof f).join())
const intercept = (interceptor) => {
  Taro.addInterceptor(interceptor)
  return () => Taro.cleanInterceptors()
}
run(createClient, Taro, {
  reject: () => intercept(() => Promise.reject({ errMsg: 'request:fail refused' })),
  silence: () => intercept(() => new Promise(() => {}))
})
export default function App(props) { return props.children }`
  })
  await build(folder, '@tarojs/cli/bin/taro', ['build', '--type', 'weapp'])
  const platform = makePlatform()
  runMiniProgram(join(folder, 'dist'), platform).load('app.js')
  assert.deepEqual(await within(platform), Object.assign({ kinds: Array(6).fill('function').join() }, SEEN))
})

test('uni-app with Vue 3 and Vite', async () => {
  const folder = project('uni', {
    'package.json': JSON.stringify({ name: 'check', devDependencies: require('./package.json').devDependencies }),
    'vite.config.js': "const uni = require('@dcloudio/vite-plugin-uni').default\nmodule.exports = { plugins: [uni()] }",
    'src/manifest.json':
      '{ "name": "check", "appid": "", "vueVersion": "3", "mp-weixin": { "appid": "wx1234567890abcdef" } }',
    'src/pages.json': '{ "pages": [{ "path": "pages/index/index" }] }',
    'src/App.vue': '<script>export default {}</script>',
    'src/pages/index/index.vue': '<template><view>hello</view></template>',
    'src/main.js': `import { createSSRApp } from 'vue'
import App from './App.vue'
import api, { createClient } from './caddy-wechat.mjs'
import npm, { createClient as namedNpm } from 'caddy-wechat-client'
import { run } from './program.js'

wx.report('kinds', [api.createClient, npm.createClient, namedNpm].map((f) => typeof f).join())
const intercept = (invoke) => {
  uni.addInterceptor('request', { invoke })
  return () => uni.removeInterceptor('request')
}
run(createClient, uni, {
  reject: () => intercept(() => Promise.reject({ errMsg: 'request:fail refused' })),
  silence: () => intercept(() => false)
})
export function createApp() { return { app: createSSRApp(App) } }`
  })
  await build(folder, '@dcloudio/vite-plugin-uni/bin/uni.js', ['build', '-p', 'mp-weixin'], {
    UNI_PLATFORM: 'mp-weixin',
    UNI_INPUT_DIR: join(folder, 'src')
  })
  const platform = makePlatform()
  runMiniProgram(join(folder, 'dist/build/mp-weixin'), platform).load('app.js')
  assert.deepEqual(await within(platform), Object.assign({ kinds: Array(3).fill('function').join() }, SEEN))
})

test('plain Vite', async () => {
  const folder = project('vite', {
    'package.json': '{ "name": "check", "private": true }',
    'index.html': '<!doctype html><script type="module" src="/src/main.js"></script>',
    'vite.config.js':
      "module.exports = { build: { modulePreload: false, rollupOptions: { output: { format: 'iife', entryFileNames: 'main.js' } } } }",
    'src/main.js': `import api, { createClient } from './caddy-wechat.mjs'
import npm, { createClient as namedNpm } from 'caddy-wechat-client'
import { direct, run } from './program.js'

wx.report('kinds', [api.createClient, npm.createClient, namedNpm].map((f) => typeof f).join())
run(createClient, wx, direct(wx))`
  })
  await build(folder, 'vite/bin/vite.js', ['build'])
  const platform = makePlatform()
  vm.runInNewContext(readFileSync(join(folder, 'dist/main.js'), 'utf8'), { wx: platform.wx, setTimeout, clearTimeout })
  assert.deepEqual(await within(platform), Object.assign({ kinds: Array(3).fill('function').join() }, SEEN))
})
