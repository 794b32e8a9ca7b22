'use strict'
// Runs what was built for a Mini Program, as the platform does: every file is a
// CommonJS module without window or document, and App and Page are there.

const { existsSync, readFileSync } = require('node:fs')
const { dirname, join, resolve } = require('node:path')
const vm = require('node:vm')
const { Gateway, fakeWx } = require('../test/fake')

function makePlatform() {
  const gateway = new Gateway()
  const fake = fakeWx(gateway)
  const reports = {}
  let end
  const ended = new Promise((r) => (end = r))
  gateway.hold.add('/slow')
  const wx = Object.assign(fake, {
    report(name, value) {
      reports[name] = value
      if (name === 'end') end(reports)
    },
    endSession: () => gateway.live.clear(),
    connectSocket(options) {
      setImmediate(() => options.success && options.success({ errMsg: 'connectSocket:ok' }))
      return { send() {}, close() {}, onOpen() {}, onClose() {}, onError() {}, onMessage() {} }
    },
    // What frameworks ask for when they begin.
    getSystemInfoSync: () => ({
      platform: 'devtools',
      SDKVersion: '3.8.0',
      language: 'en',
      pixelRatio: 2,
      windowWidth: 375
    }),
    getAppBaseInfo: () => ({ SDKVersion: '3.8.0', language: 'en', host: {} }),
    getDeviceInfo: () => ({ platform: 'devtools', system: '' }),
    getWindowInfo: () => ({ pixelRatio: 2, windowWidth: 375 }),
    getLaunchOptionsSync: () => ({ scene: 1001, path: '', query: {} }),
    getAccountInfoSync: () => ({ miniProgram: { appId: 'wx1234567890abcdef' } }),
    canIUse: () => true,
    onAppShow() {},
    onError() {},
    onPageNotFound() {},
    onUnhandledRejection() {},
    onThemeChange() {},
    onMemoryWarning() {}
  })
  return { wx, gateway, reports, ended }
}

// runMiniProgram runs the program in a folder and gives what it declares.
function runMiniProgram(folder, platform, compile = (code) => code) {
  const declared = { pages: {} }
  const app = {}
  const context = vm.createContext({
    wx: platform.wx,
    console,
    setTimeout,
    clearTimeout,
    setInterval,
    clearInterval,
    App: (options) => Object.assign(app, options),
    getApp: () => app,
    getCurrentPages: () => [],
    Page: (options) => (declared.page = options),
    Component: (options) => (declared.component = options),
    Behavior: (options) => options,
    global: {},
    __wxConfig: {}
  })
  const modules = new Map()
  const find = (file) => [file, file + '.js', join(file, 'index.js')].find((f) => existsSync(f) && /\.m?js$/.test(f))
  const load = (file) => {
    if (modules.has(file)) return modules.get(file).exports
    const module = { exports: {} }
    modules.set(file, module)
    const require = (name) => {
      const found = /^[./]/.test(name)
        ? find(resolve(dirname(file), name))
        : find(join(folder, 'miniprogram_npm', name)) || find(join(folder, name)) // helpers of the developer tools
      if (!found) throw new Error(`${file}: there is no ${name}`)
      return load(found)
    }
    const code = compile(readFileSync(file, 'utf8'), file)
    const parameters = ['require', 'module', 'exports', 'window', 'document', 'self', 'location', 'XMLHttpRequest']
    vm.compileFunction(code, parameters, { filename: file, parsingContext: context })(require, module, module.exports)
    return module.exports
  }
  return { app, declared, load: (name) => load(join(folder, name)) }
}

module.exports = { makePlatform, runMiniProgram }
