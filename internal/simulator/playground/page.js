// What all parts of the page share: its state, its elements, its words.
import { TEXT } from './texts.js'

export const $ = (id) => document.getElementById(id)

export function make(tag, fields, ...children) {
  const node = Object.assign(document.createElement(tag), fields)
  node.append(...children)
  return node
}

const remembered = (key) => { try { return localStorage.getItem(key) } catch { return null } }
export const remember = (key, value) => { try { localStorage.setItem(key, value) } catch { /* then not */ } }

export const page = {
  lang: remembered('lang') || (/^zh/i.test(navigator.language) ? 'zh' : 'en'),
  state: { users: [], apps: [], gateway: '', prefix: '/wechat' }, // of the simulator
  user: '',
  why: () => '', // which button the requests of now belong to
  exchanges: [] // newest first
}

export const T = () => TEXT[page.lang]

export function say(id, text, kind = '') {
  $(id).textContent = text
  $(id).className = kind
  if (text) $('status').textContent = text
}

// hush takes back what was said about another user or in another language.
export function hush() {
  $('numbers').replaceChildren()
  for (const node of document.querySelectorAll('output')) say(node.id, '')
}

export const shorten = (text, long = 96) => text.length <= long ? text : text.slice(0, long / 2 - 4) + ' … ' + text.slice(-12)

export function line(text, kind, tag) {
  const row = make('div', { className: kind }, make('span', { className: 'text', textContent: text }))
  if (tag) row.append(make('span', { className: 'tag', textContent: tag }))
  return row
}

// copy puts a text into the clipboard, and says so where the button is.
export async function copy(text, say) {
  try {
    await navigator.clipboard.writeText(text)
    say(T().copied)
  } catch {
    say(T().notCopied)
  }
}
