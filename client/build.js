'use strict'
// Makes the two files that are shipped from src/: index.js for require and plain
// scripts, index.mjs for import. Both hold all of the code, because copying one
// of them must be enough. Run it after a change: node build.js

const { readFileSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')

const ORDER = [
  'answer',
  'platform',
  'queue',
  'gateway',
  'session',
  'events',
  'cookies',
  'call',
  'container',
  'socket',
  'bridges',
  'opendata',
  'client'
]
const ABOUT = `// caddy-wechat client: logs a WeChat Mini Program in at the gateway and sends
// its requests with the token. One file, no dependencies. Made from src/ of
// client/ by build.js; change it there.
`

// code is the text of all modules without imports, exports and comment lines.
function code() {
  const parts = ORDER.map((name) => {
    const text = readFileSync(join(__dirname, 'src', name + '.js'), 'utf8')
    return text
      .replace(/^import [^]*? from '\.\/[a-z]+\.js'\n/gm, '')
      .replace(/^ *\/\/.*\n/gm, '')
      .replace(/^export /gm, '')
      .trim()
  })
  return parts.join('\n\n').replace(/\n{3,}/g, '\n\n') + '\n'
}

function outputs() {
  const body = code()
  return {
    'index.js': `${ABOUT};(function (root) {
'use strict'

${body}
if (typeof module === 'object' && module.exports) module.exports = { createClient, getHeader }
else root.caddyWechat = { createClient, getHeader }
})(typeof globalThis === 'object' ? globalThis : this)
`,
    'index.mjs': `${ABOUT}
${body}
export { createClient, getHeader }
export default { createClient, getHeader }
`
  }
}

if (require.main === module) {
  for (const [name, text] of Object.entries(outputs())) writeFileSync(join(__dirname, name), text)
}

module.exports = { outputs, ORDER }
