'use strict'
const fragment = document.getElementById('fragment')
if (fragment) fragment.value = location.hash
const { first, second } = document.querySelector('main').dataset
if (second) {
  location.href = first
  setTimeout(() => { location.href = second }, 300)
}
