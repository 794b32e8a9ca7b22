'use strict'
// Starts a real gateway with the simulator and an app that shows what it got,
// each on a free port of this machine.

const { spawn } = require('node:child_process')
const { createHash } = require('node:crypto')
const { mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const http = require('node:http')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { setTimeout: sleep } = require('node:timers/promises')

const APPID = 'wx1234567890abcdef'

function listen(server) {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(server.address().port))
  })
}

async function freePorts(n) {
  const servers = Array.from({ length: n }, () => http.createServer())
  const ports = await Promise.all(servers.map(listen))
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

// startApp is an app that knows nothing of WeChat. It answers with the headers
// it got, one a line, or as JSON below /json.
async function startApp() {
  const seen = []
  const app = http.createServer((req, res) => {
    const chunks = []
    req.on('data', (chunk) => chunks.push(chunk))
    req.on('end', () => {
      const headers = []
      for (let i = 0; i < req.rawHeaders.length; i += 2) headers.push([req.rawHeaders[i], req.rawHeaders[i + 1]])
      const body = Buffer.concat(chunks)
      seen.push({ method: req.method, url: req.url, headers, body })
      if (req.url.startsWith('/refuse')) {
        // An app that refuses in the gateway's words, and claims its mark.
        const marks = { 'X-WeChat-Gateway': 'login_required', x_wechat_gateway: 'login_required' }
        res.writeHead(401, Object.assign({ 'Content-Type': 'application/json', 'WWW-Authenticate': 'Bearer' }, marks))
        res.end(JSON.stringify({ error: 'login_required' }))
      } else if (req.url.startsWith('/form')) {
        res.setHeader('Content-Type', 'text/html; charset=utf-8')
        res.end(`<!doctype html><title>Form</title><p id="who">${req.headers['x-openid'] || 'nobody'}</p>
          <form id="order" method="post" action="/form/order"><input name="what"><button>Order</button></form>
          <form id="logout" method="post" action="/wechat/logout"><button>Log out</button></form>`)
      } else if (req.url.startsWith('/json')) {
        if (req.url.startsWith('/json/cookie'))
          res.setHeader('Set-Cookie', ['sid=1; HttpOnly', 'kept=2; Path=/; Max-Age=60'])
        res.setHeader('Content-Type', 'application/json')
        res.end(JSON.stringify({ headers: req.headers, bytes: body.length }))
      } else {
        res.setHeader('Content-Type', 'text/plain; charset=utf-8')
        res.end(headers.map(([name, value]) => name + ': ' + value + '\n').join(''))
      }
    })
  })
  app.on('upgrade', (req, socket) => {
    seen.push({ method: 'UPGRADE', url: req.url, headers: Object.entries(req.headers) })
    const accept = createHash('sha1')
      .update(req.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11')
      .digest('base64')
    socket.on('error', () => {})
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ' +
        accept +
        '\r\n\r\n'
    )
  })
  const port = await listen(app)
  return {
    port,
    seen,
    close: () => {
      app.closeAllConnections()
      app.close()
    }
  }
}

// PAGES are the accounts by which browsers log in.
const PAGES = { official: 'wx2222222222222222', website: 'wx3333333333333333' }

// start runs a gateway with a configuration of its own. session is what stands
// in its session block, site in that of wechat_auth. With pages, browsers log in.
async function start(binary, { session = '', site: options = '', pages = false } = {}) {
  const app = await startApp()
  const [gateway, simulator] = await freePorts(2)
  const site = await run(
    binary,
    gateway,
    simulator,
    `
	wechat {
		app ${APPID} simulated-secret
		${pages ? `app ${PAGES.official} simulated-secret official_account\n\t\tapp ${PAGES.website} simulated-secret website` : ''}
		api http://127.0.0.1:${simulator}
		authorize_base http://127.0.0.1:${simulator}
		login_limit off
		session {
			max_per_user 2
			${session}
		}
	}
}

:${gateway} {
	bind 127.0.0.1
	wechat_auth {
		${pages ? `app ${APPID} ${PAGES.official} ${PAGES.website}` : ''}
		public /public
		${options}
	}
	reverse_proxy 127.0.0.1:${app.port}
}

:${simulator} {
	bind 127.0.0.1
	wechat_simulator {
		${pages ? '' : `app ${APPID} simulated-secret`}
		gateway http://127.0.0.1:${gateway}
	}
}
`
  ).catch((err) => {
    app.close()
    throw err
  })
  return Object.assign(site, {
    seen: app.seen,
    async stop() {
      await site.end()
      app.close()
    }
  })
}

// startExample runs Caddyfile.example as it is, but for its ports.
async function startExample(binary) {
  const [gateway, simulator, app] = await freePorts(3)
  const text = readFileSync(join(__dirname, '..', '..', 'Caddyfile.example'), 'utf8')
    .replaceAll(':8080', ':' + gateway)
    .replaceAll(':9080', ':' + simulator)
    .replaceAll(':9081', ':' + app)
  const site = await run(binary, gateway, simulator, text.slice(text.indexOf('\n{\n') + 3))
  return Object.assign(site, { stop: site.end })
}

// run starts the binary and waits until it answers. The text begins inside the
// block of global options.
async function run(binary, gateway, simulator, text) {
  const dir = mkdtempSync(join(tmpdir(), 'caddy-wechat-e2e-'))
  const file = join(dir, 'Caddyfile')
  const quiet = text.includes('auto_https off') ? '' : 'auto_https off'
  writeFileSync(
    file,
    `{\nadmin off\npersist_config off\n${quiet}\nstorage file_system ${join(dir, 'storage')}\n${text}`
  )
  const log = []
  const child = spawn(binary, ['run', '--config', file, '--adapter', 'caddyfile'], {
    stdio: ['ignore', 'ignore', 'pipe']
  })
  child.stderr.on('data', (line) => log.push(String(line)))
  const ended = new Promise((resolve) => {
    child.once('exit', resolve)
    child.once('error', (err) => {
      log.push(err.message)
      resolve()
    })
  })
  const end = async () => {
    child.kill('SIGTERM')
    await ended
    rmSync(dir, { recursive: true, force: true })
  }
  const address = `http://127.0.0.1:${simulator}`
  for (let tries = 0; ; tries++) {
    const answers = await Promise.allSettled([
      fetch(address + '/simulator/state'),
      fetch(`http://127.0.0.1:${gateway}/`)
    ])
    if (answers.every((answer) => answer.status === 'fulfilled')) break
    if (child.pid === undefined || child.exitCode !== null || tries === 150) {
      if (child.pid !== undefined) await end()
      throw new Error('the gateway does not start:\n' + log.join(''))
    }
    await sleep(100)
  }
  const control = async (path, body) => {
    const res = await fetch(
      address + '/simulator/' + path,
      body === undefined
        ? {}
        : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
    )
    if (!res.ok) throw new Error(path + ': ' + res.status + ' ' + (await res.text()))
    return res.json()
  }
  return { appID: APPID, gateway: `http://127.0.0.1:${gateway}`, simulator: address, control, log, end }
}

// binary is the gateway to test with. Without one there is nothing to test, and
// the test says so.
function binary(t) {
  if (!process.env.CADDY_WECHAT_BINARY) t.skip('CADDY_WECHAT_BINARY does not name a gateway to test with')
  return process.env.CADDY_WECHAT_BINARY
}

module.exports = { start, startExample, binary }
